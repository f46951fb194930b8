package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// A room is a network and a mount namespace of the run's own (namespaces(7)): what is
// mounted and linked in it nobody else sees, and it is gone with the last process in it.

// inRoom says in the environment that the test runs in a room.
const inRoom = "ENTENTE_FIRE_ROOM"

// farCommand is the name under which the test binary passes on what comes to a unix
// socket to a TCP address: "entente-far SOCKET ADDRESS". It stands in a network namespace
// of its own, at the far end of a cable.
const farCommand = "entente-far"

// roomError says why there can be no room; nil: there can.
func roomError() error {
	if os.Geteuid() != 0 {
		return errors.New("it takes root")
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	cmd := exec.Command("ip", "link", "add", "fire", "type", "veth", "peer", "name", "erif")
	cmd.SysProcAttr = roomAttr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func roomAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
}

// again runs this test once more, in a room, and fails if that fails.
func again(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=0"}, args...)...)
	cmd.Env = append(os.Environ(), inRoom+"=1")
	cmd.SysProcAttr = roomAttr()
	cmd.WaitDelay = 10 * time.Second
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	kept := &lastOf{limit: 64 << 10}
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		if testing.Verbose() {
			_, _ = io.Copy(os.Stdout, out) // what can not be shown is lost
			return
		}
		_, _ = io.Copy(kept, out) // never fails
	}()
	err := cmd.Run()
	_ = in.Close() // always nil
	<-passed
	if err != nil {
		t.Fatalf("in its room: %v\n%s", err, kept.bytes)
	}
}

// lastOf keeps the end of what is written.
type lastOf struct {
	bytes []byte
	limit int
}

func (l *lastOf) Write(p []byte) (int, error) {
	l.bytes = append(l.bytes, p...)
	l.bytes = l.bytes[max(0, len(l.bytes)-l.limit):]
	return len(p), nil
}

// furnish makes the room usable: nothing that is mounted gets out of it, and it has a
// loopback interface.
func furnish(t *testing.T) {
	t.Helper()
	go endWithParent()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	ip(t, "link", "set", "lo", "up")
}

func ip(t testing.TB, args ...string) { runTool(t, "ip", args...) }

func runTool(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// cable is a pair of interfaces, the far one in a namespace of its own.
type cable struct {
	t       testing.TB
	near    string // interface
	address string // of the near end
	socket  string // leads over the cable
}

// newCable lays cable number n, and has what comes to a unix socket in dir reach a port of
// the near end through it.
func newCable(t testing.TB, dir string, n int, port string) *cable {
	t.Helper()
	c := &cable{t: t, near: fmt.Sprintf("fire%d", n), address: fmt.Sprintf("10.77.%d.1:%s", n, port),
		socket: filepath.Join(dir, fmt.Sprintf("far-%d", n))}
	cmd := exec.Command(farCommand, c.socket, c.address)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it does not end by itself
		_ = cmd.Wait()
	})
	pid, far := strconv.Itoa(cmd.Process.Pid), fmt.Sprintf("far%d", n)
	ip(t, "link", "add", c.near, "type", "veth", "peer", "name", far, "netns", pid)
	ip(t, "address", "add", fmt.Sprintf("10.77.%d.1/30", n), "dev", c.near)
	ip(t, "link", "set", c.near, "up")
	for _, args := range [][]string{
		{"address", "add", fmt.Sprintf("10.77.%d.2/30", n), "dev", far}, {"link", "set", far, "up"},
	} {
		runTool(t, "nsenter", append([]string{"--target=" + pid, "--net", "ip"}, args...)...)
	}
	eventually(t, soon, "the far end", func() (bool, string) {
		_, err := os.Stat(c.socket)
		return err == nil, fmt.Sprint(err)
	})
	return c
}

// pull pulls the cable out from under its connections, and returns what puts it back: no
// packet passes meanwhile, and nobody is told.
func (c *cable) pull() (back func()) {
	ip(c.t, "link", "set", c.near, "down")
	return func() { ip(c.t, "link", "set", c.near, "up") }
}

// ententeFar is what farCommand does.
func ententeFar() {
	go endWithParent()
	_, err := newRelay("far", "unix", os.Args[1], dialer("tcp", os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "entente-far:", err)
		os.Exit(1)
	}
	select {}
}

// small mounts a small file system on a folder, for its owner alone.
func small(t testing.TB, dir string, megabytes int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("fire", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", megabytes)); err != nil {
		t.Fatalf("mounting on %s: %v", dir, err)
	}
	t.Cleanup(func() {
		kept := dir + ".kept"
		if t.Failed() || *fireKeep != "" {
			runTool(t, "cp", "-a", dir, kept)
		}
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
		if _, err := os.Stat(kept); err == nil {
			runTool(t, "rm", "-r", dir)
			runTool(t, "mv", kept, dir)
		}
	})
}

// fill leaves no room on the file system of a folder, and returns what gives it back.
func fill(dir string) (free func() error, err error) {
	file := filepath.Join(dir, "ballast")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for size := int64(1 << 20); size >= 1<<12; { // the bytes that are left, in ever smaller pieces
		end, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, err
		}
		switch err := syscall.Fallocate(int(f.Fd()), 0, end, size); {
		case errors.Is(err, syscall.ENOSPC):
			size /= 16
		case err != nil:
			return nil, errors.Join(err, os.Remove(file))
		}
	}
	return func() error { return os.Remove(file) }, nil
}

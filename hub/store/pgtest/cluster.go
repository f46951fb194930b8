// Package pgtest starts private PostgreSQL servers from the binaries that are
// installed on the machine, for tests and demonstrations. A server listens on a
// unix socket in a directory of its own and on nothing else, and writes to
// stable storage as in earnest (fsync on).
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotInstalled says that no PostgreSQL server was found on the machine.
var ErrNotInstalled = errors.New("pgtest: no PostgreSQL server found (pg_config --bindir, /usr/lib/postgresql/*/bin, PATH)")

const (
	startTime = 60 * time.Second
	stopTime  = 20 * time.Second
	// superuser is the role that initdb makes; the socket's directory is what
	// keeps others out.
	superuser = "entente"
)

// Start starts a server with its data in dir/data, and creates them where there
// are none; dir must exist, and be short: a socket's path has at most 107
// bytes. The DSN is that of the database "postgres". stop ends the server and
// leaves the data; it may be called more than once. Where there is no server to
// start, the error is ErrNotInstalled.
func Start(dir string) (dsn string, stop func() error, err error) {
	s, err := newServer(dir)
	if err != nil {
		return "", nil, err
	}
	if err := s.init(); err != nil {
		return "", nil, err
	}
	if err := s.start(); err != nil {
		return "", nil, err
	}
	return s.dsn("postgres"), s.stop, nil
}

// newServer returns a server that has neither data nor runs yet.
func newServer(dir string, settings ...string) (*server, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, dir: dir, settings: settings}
	if s.cred, err = credential(); err != nil {
		return nil, err
	}
	if s.cred != nil {
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, fmt.Errorf("pgtest: %w", err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return s, nil
}

type server struct {
	bin, dir string
	cred     *syscall.Credential // of the system user who runs it, if not ours
	settings []string            // name=value, beside those of all servers
	cmd      *exec.Cmd
	log      bytes.Buffer // read only once exited is closed
	exited   chan struct{}
	stopOnce sync.Once
	stopErr  error
}

func (s *server) dsn(database string) string {
	q := url.Values{"host": {s.dir}, "user": {superuser}, "sslmode": {"disable"}}
	return "postgres:///" + url.PathEscape(database) + "?" + q.Encode()
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TZ=UTC"}
	// The server must not outlive us, nor get the signals of our terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return cmd
}

func (s *server) init() error {
	data := filepath.Join(s.dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	cmd := s.command("initdb", "--pgdata="+data, "--username="+superuser, "--auth=trust", "--encoding=UTF8",
		"--locale=C", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *server) start() error {
	s.cmd = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "max_connections=200", "-c", "shared_buffers=128MB",
		"-c", "unix_socket_permissions=0700", "-c", "max_wal_size=4GB")
	for _, setting := range s.settings {
		s.cmd.Args = append(s.cmd.Args, "-c", setting)
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	s.exited = make(chan struct{})
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait() // how it ended is asked of ProcessState
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("pgtest: server ended: %v\n%s", s.cmd.ProcessState, s.log.String())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("pgtest: server did not become ready: %w", err), s.stop())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// stop asks for a fast shutdown, and kills a server that does not obey.
func (s *server) stop() error {
	s.stopOnce.Do(func() {
		select {
		case <-s.exited:
			s.stopErr = fmt.Errorf("pgtest: server had ended already: %v\n%s", s.cmd.ProcessState, s.log.String())
			return
		default:
		}
		err := s.cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-s.exited:
		case <-time.After(stopTime):
			err = errors.Join(err, errors.New("pgtest: server had to be killed"), s.cmd.Process.Signal(syscall.SIGQUIT))
			<-s.exited
		}
		s.stopErr = err
	})
	return s.stopErr
}

// credential returns the system user "postgres" if we are root, as whom the
// server refuses to run, else nil.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("pgtest: the server does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: uid %q: %w", u.Uid, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: gid %q: %w", u.Gid, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// findBin returns the folder of the server's binaries.
func findBin() (string, error) {
	var candidates []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	versioned, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(versioned, func(a, b string) int { return version(b) - version(a) })
	candidates = append(candidates, versioned...)
	if path, err := exec.LookPath("postgres"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range candidates {
		if executable(filepath.Join(dir, "postgres")) && executable(filepath.Join(dir, "initdb")) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// version is the number in /usr/lib/postgresql/<version>/bin.
func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin))) // 0 for what is no number
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

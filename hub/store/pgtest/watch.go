package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// watchman waits until its standard input ends, which happens when this process
// does, in whatever way. If the folder is still there then, it ends the server
// by the process id that the server itself wrote, and removes the folder.
const watchman = `cat >/dev/null
[ -d "$1" ] || exit 0
if read -r pid <"$1/data/postmaster.pid"; then
	kill -INT "$pid"
	while kill -0 "$pid"; do sleep 0.1; done
fi
rm -rf "$1"`

// watch starts a watchman for a server's folder. The write end of its pipe is
// never closed and, like all files that Go opens, not passed on to children.
func watch(dir string) error {
	sh, err := exec.LookPath("sh")
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(sh, "-c", watchman, "watchman", filepath.Clean(dir))
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not ended with our process group
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("pgtest: %w", err)
	}
	watchMu.Lock()
	defer watchMu.Unlock()
	watchPipes = append(watchPipes, w)
	return nil
}

// watchPipes keep the pipes open until the process ends: one that nothing refers to would
// be closed.
var (
	watchMu    sync.Mutex
	watchPipes []*os.File
)

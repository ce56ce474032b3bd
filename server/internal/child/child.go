// Package child starts the programs that tests and benchmarks need: databases and proxies. They end with this process, even if it
// is killed, where the system can do that (Linux).
package child

import (
	"os/exec"
	"runtime"
)

// Start starts a command. exited is closed when it has ended.
func Start(c *exec.Cmd) (exited <-chan struct{}, _ error) {
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the program ends with the thread that started it
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			c.Wait()
		}
	}()
	return ended, <-started
}

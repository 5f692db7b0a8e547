package debian

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// insideVariable is set in the process that runs in a network of its own.
const insideVariable = "GATEPOST_OWN_NETWORK"

// Inside reports whether this process runs in a network of its own.
func Inside() bool { return os.Getenv(insideVariable) != "" }

// RunInside runs this program once more, with the same arguments, in a network of its own, and gives its exit status. There every port is free,
// also 25 and 53, and clients come from any address. When this process ends, so does the other.
func RunInside() (int, error) {
	runtime.LockOSThread() // Pdeathsig is about the thread that starts it
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), insideVariable+"=1")
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// RaiseNetwork gives the network, which is empty and down, its loopback interface, and that the addresses.
func RaiseNetwork(addresses ...string) error {
	commands := [][]string{{"link", "set", "lo", "up"}}
	for _, address := range addresses {
		width := "/32"
		if strings.Contains(address, ":") {
			width = "/128"
		}
		commands = append(commands, []string{"address", "add", address + width, "dev", "lo"})
	}
	for _, arguments := range commands {
		if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", arguments, err, out)
		}
	}
	return nil
}

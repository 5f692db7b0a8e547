package sendmail

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Addresses of the test's own network, all on its loopback interface.
const (
	Server     = "203.0.113.25" // Sendmail
	Server6    = "2001:db8::25"
	Good       = "192.0.2.1" // mail.example.org
	Good6      = "2001:db8::1"
	Bad        = "198.51.100.1" // has no name
	Forged     = "198.51.100.2" // its name has another address
	nameserver = "127.0.0.1:53"
)

// insideVariable is set in the process that runs in a network of its own.
const insideVariable = "GATEPOST_OWN_NETWORK"

// Inside reports whether this process runs in a network of its own.
func Inside() bool { return os.Getenv(insideVariable) != "" }

// RunInside runs this program once more, with the same arguments, in a network of its own, and gives its exit status. Sendmail has no XCLIENT and asks
// DNS at port 53 only; there clients come from any address, and every port is free. When this process ends, so does the other.
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

// RaiseNetwork gives the network, which is empty and down, its addresses.
func RaiseNetwork() error {
	commands := [][]string{{"link", "set", "lo", "up"}}
	for _, address := range []string{Server + "/32", Good + "/32", Bad + "/32", Forged + "/32", Server6 + "/128", Good6 + "/128"} {
		commands = append(commands, []string{"address", "add", address, "dev", "lo"})
	}
	for _, arguments := range commands {
		if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", arguments, err, out)
		}
	}
	return nil
}

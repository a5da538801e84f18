package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"idlepush/registry/testenv"
)

// TestSelftestInANetworkOfItsOwn runs the command where nothing can be reached, as in a container
// without network.
func TestSelftestInANetworkOfItsOwn(t *testing.T) {
	t.Parallel()
	for loopback, want := range map[string]string{
		"up":   "\nidlepush kept its promise in all ",
		"down": "idlepush: selftest: nothing inside this process can be reached at 127.0.0.1 (dial tcp",
	} {
		t.Run("with loopback "+loopback, func(t *testing.T) {
			t.Parallel()
			c := selftestCommand(t, t.TempDir())
			c.Env = append(c.Env, "PATH="+os.Getenv("PATH"))
			c.Args = append([]string{"sh", "-c", `ip link set lo ` + loopback + ` && exec "$@"`, "sh", c.Path}, c.Args[1:]...)
			c.Path = "/bin/sh"
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			out, err := c.CombinedOutput()
			if errors.Is(err, os.ErrPermission) {
				testenv.Missing(t, "only root may make network namespaces")
			}
			if (err == nil) != (loopback == "up") || !strings.Contains(string(out), want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

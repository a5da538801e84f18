package registry

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"

	"idlepush/registry/testenv"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

// The tests that need a second process start this test binary again, with a role in its
// environment.
const (
	roleVariable = "TEST_ROLE"
	dirVariable  = "TEST_DIR"
)

var roles = map[string]func(dir string) error{
	"record until killed":  recordUntilKilled,
	"hold the store":       holdTheStore,
	"fill the disk":        fillTheDisk,
	"start on a full disk": startOnFullDisk,
	"open too many files":  openTooMany,
	"upgrade until killed": upgradeUntilKilled,
	"upgrade a full disk":  upgradeFullDisk,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
	}
	if err := roles[role](os.Getenv(dirVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is this test binary in another role, on the store in dir. It is killed when the test ends
// or has waited for it too long.
func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(testenv.Context(t), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	cmd.Stderr = t.Output()
	return cmd
}

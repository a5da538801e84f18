package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// asProgram makes the test binary the program itself, so that tests can start it, and kill it, as a
// process of its own.
const asProgram = "TEST_AS_PROGRAM"

// atOnce is how many tests run at once. They mostly wait: on two cores, more of them take no less
// time.
const atOnce = 6

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if os.Getenv(withThrowaway) != "" {
			services = append(services, throwaway)
		}
		os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	testenv.SetParallel(atOnce)
	goleak.VerifyTestMain(m)
}

// itself is this test binary as the program.
func itself(t *testing.T) systemtest.Program {
	t.Helper()
	path, err := os.Executable()
	systemtest.Must(t, err)
	return systemtest.Program{Path: path, Env: []string{asProgram + "=1"}}
}

// startSystem starts a daemon with its mail server and push services.
func startSystem(t *testing.T) *systemtest.System {
	t.Helper()
	s := systemtest.New(t, itself(t))
	s.Start(t)
	return s
}

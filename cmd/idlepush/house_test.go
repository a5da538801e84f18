package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"idlepush/cmd/idlepush/street"
	"idlepush/registry/testenv"
)

// asProgram makes the test binary the program itself, so that tests can start it, and kill it, as a process of its own.
const asProgram = "TEST_AS_PROGRAM"

// atOnce is how many tests run at once. Their streets mostly wait: on two cores, more of them take no less time.
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
func itself(t *testing.T) street.Program {
	t.Helper()
	path, err := os.Executable()
	street.Must(t, err)
	return street.Program{Path: path, Env: []string{asProgram + "=1"}}
}

// newStreet is a street on which the daemon runs.
func newStreet(t *testing.T) *street.Street {
	t.Helper()
	s := street.New(t, itself(t))
	s.Start(t)
	return s
}

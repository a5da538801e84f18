package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

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
		internet = noInternet
		os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	testenv.SetParallel(atOnce)
	goleak.VerifyTestMain(m)
}

// noInternet is one that cannot be reached. No test asks the real one.
func noInternet() outside {
	o := outside{clock: "https://127.0.0.1:1/", hosts: []string{"mail.example:993"}, client: &http.Client{Timeout: time.Second}}
	o.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	o.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route to host") }
	return o
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

// Package testenv is what a test asks of the machine and of whoever runs it: how long to wait, a seed, a size, programs that may be missing. It knows no other
// package, and tests of every package use it.
//
//	TEST_SEED=n        what random tests begin with; each prints its own
//	TEST_SKIP_NOTHING  a test that lacks what it needs, such as Dovecot or a browser, fails instead of being skipped
//	-tags=soak         the long tests run whole, not a tenth of them
package testenv

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"
)

const (
	share     = 4                     // a wait takes at most this part of the time that is left to the test process
	unlimited = 10 * time.Minute      // a wait where there is no such limit, as in a benchmark
	again     = 10 * time.Millisecond // between two looks at a condition
)

// limit is how long one wait may take now.
func limit(t testing.TB) time.Duration {
	if t, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := t.Deadline(); ok {
			return time.Until(end) / share
		}
	}
	return unlimited
}

// Context ends when a wait that begins now has taken too long, or with the test. The only bound is go test's own -timeout, of which it takes a share: a slow machine
// is no failure.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit(t))
	t.Cleanup(cancel)
	return ctx
}

// Await looks until so finds nothing wrong, or ends the test with what it last found. It takes as long as Context. It panics in a synctest
// bubble, whose clock says nothing of the time that is left.
func Await(t testing.TB, what string, so func() error) {
	t.Helper()
	end := time.NewTimer(limit(t))
	defer end.Stop()
	next := time.NewTicker(again)
	defer next.Stop()
	began := time.Now()
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-end.C:
			t.Fatalf("%s: still not so after %v: %v", what, time.Since(began).Round(time.Second), err)
		case <-next.C:
		}
	}
}

// Seed is what TEST_SEED says, or another each time. The test prints it when it fails.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TEST_SEED: %v", err)
		}
	}
	t.Logf("TEST_SEED=%d repeats what is random here", seed)
	return seed
}

// Rand is a source of random numbers that begins with Seed. It is for one goroutine.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Missing skips the test, because something is not installed or not permitted; or fails it, if TEST_SKIP_NOTHING is set.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("TEST_SKIP_NOTHING") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Tenth is a tenth of whole, at least 1; with the build tag soak it is whole.
func Tenth(whole int) int {
	if Soak {
		return whole
	}
	return max(whole/10, 1)
}

// Port gives a port of 127.0.0.1 on which nothing else listens before the test ends. It lies below the ports that the kernel gives to outgoing connections. Test
// processes that run at once keep clear of each other: each holds the UDP port of the same number.
func Port(t testing.TB) int {
	t.Helper()
	const lowest, count = 20000, 10000
	for range 100 {
		port := lowest + rand.N(count)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		held, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		free, err := net.Listen("tcp", address)
		if err != nil {
			held.Close()
			continue
		}
		free.Close()
		t.Cleanup(func() { held.Close() })
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// AtOnce has go test run n parallel tests of this process at once, unless its flag -parallel says otherwise: for tests that
// mostly wait. Call it in TestMain.
func AtOnce(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", strconv.Itoa(n))
	}
}

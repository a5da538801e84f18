// Package testenv tells tests how long to wait, which seed to use, how much to do and what may be
// missing. It imports no other package of this module, because the tests of all of them use it.
//
//	TEST_SEED=n          the seed of random tests; each logs its own
//	TEST_SKIP_NOTHING=1  a test that lacks something, such as Dovecot or a browser, fails
//	-tags=soak           long tests run whole, not at a tenth of their size
package testenv

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

const (
	share     = 4                     // a wait takes at most a quarter of the time that is left
	unlimited = 10 * time.Minute      // a wait if there is no limit, as in a benchmark
	again     = 10 * time.Millisecond // between two checks
)

// limit returns how long one wait may take. The only bound is go test's own -timeout: a slow machine
// is no failure.
func limit(t testing.TB) time.Duration {
	if t, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := t.Deadline(); ok {
			return time.Until(end) / share
		}
	}
	return unlimited
}

// Context returns a context that ends with the test, or after a quarter of the time that go test's
// -timeout leaves. Like Await, it panics in a synctest bubble, whose clock does not tell that time.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit(t))
	t.Cleanup(cancel)
	return ctx
}

// Await calls check until it returns nil. It ends the test with the last error after as long as a
// Context lasts.
func Await(t testing.TB, what string, check func() error) {
	t.Helper()
	began := time.Now()
	end := time.NewTimer(limit(t))
	defer end.Stop()
	next := time.NewTicker(again)
	defer next.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-end.C:
			t.Fatalf("waited %v until %s: %v", time.Since(began).Round(time.Second), what, err)
		case <-next.C:
		}
	}
}

// Seed returns TEST_SEED, or a random seed if that is not set, and logs it.
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

// Rand returns a source of random numbers that begins with Seed, for one goroutine.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Missing skips the test, because something is not installed or not permitted, or fails it if
// TEST_SKIP_NOTHING is set.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("TEST_SKIP_NOTHING") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Tenth returns a tenth of whole, at least 1, or all of it with the build tag soak.
func Tenth(whole int) int {
	if Soak {
		return whole
	}
	return max(whole/10, 1)
}

// Port returns a port of 127.0.0.1 on which nothing else listens before the test ends. It lies below
// the ports that the kernel gives to outgoing connections. Test processes that run at once keep clear
// of each other: each holds the UDP port of the same number.
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

// AtOnce sets the default of go test's -parallel to at least n, for tests that mostly wait. Call it
// in TestMain.
func AtOnce(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if fuzzing := flag.Lookup("test.fuzz").Value.String() != ""; !given && !fuzzing { // the number of its workers too
		flag.Set("test.parallel", strconv.Itoa(max(n, runtime.GOMAXPROCS(0))))
	}
}

// Package testenv decides for tests how long to wait, which random seed to use, how much to do and
// what may be missing. It imports no other package of this module, because the tests of all
// packages use it.
//
//	TEST_SEED=n          the seed of random tests; each of them logs it.
//	TEST_SKIP_NOTHING=1  a test that lacks something, such as Dovecot or a browser, fails.
//	-tags=soak           long tests run at full size, not at a tenth of it.
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
	unlimited = 10 * time.Minute      // how long a wait takes without a limit, as in a benchmark
	interval  = 10 * time.Millisecond // between two checks
)

// limit returns how long one wait may take. The only bound is go test's own -timeout, so that no
// test fails because the machine is slow.
func limit(t testing.TB) time.Duration {
	if t, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := t.Deadline(); ok {
			return time.Until(end) / share
		}
	}
	return unlimited
}

// Context returns a context that ends with the test, or after a quarter of the time that go test's
// -timeout leaves. Like Await, it panics in a synctest bubble, whose clock shows another time.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit(t))
	t.Cleanup(cancel)
	return ctx
}

// Await calls check every 10 ms until it returns nil. After a quarter of the time that go test's
// -timeout leaves, it ends the test with the last error of check.
func Await(t testing.TB, what string, check func() error) {
	t.Helper()
	began := time.Now()
	end := time.NewTimer(limit(t))
	defer end.Stop()
	next := time.NewTicker(interval)
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
	t.Logf("TEST_SEED=%d repeats this run", seed)
	return seed
}

// Rand returns a source of random numbers with this Seed, for one goroutine.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Missing ends the test because something is not installed or not permitted. It skips the test, or
// fails it if TEST_SKIP_NOTHING is set. Its message is reason.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("TEST_SKIP_NOTHING") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Tenth returns a tenth of whole, at least 1, or whole itself with the build tag soak.
func Tenth(whole int) int {
	if Soak {
		return whole
	}
	return max(whole/10, 1)
}

// Port returns a TCP port of 127.0.0.1 on which nothing else listens before the test ends. It is
// below those that the kernel uses for outgoing connections. Test processes that run at the same
// time get different ports, because each holds the UDP port of the same number.
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

// SetParallel sets the default of go test's -parallel to at least n, for tests that mostly wait.
// Call it in TestMain.
func SetParallel(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	// When fuzzing, -parallel is also the number of workers.
	if fuzzing := flag.Lookup("test.fuzz").Value.String() != ""; !given && !fuzzing {
		flag.Set("test.parallel", strconv.Itoa(max(n, runtime.GOMAXPROCS(0))))
	}
}

package testenv

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test with a deadline. It keeps the message of Fatalf.
type recorder struct {
	testing.TB
	end     time.Time
	message string
}

func (p *recorder) Deadline() (time.Time, bool) { return p.end, true }

func (p *recorder) Fatalf(format string, args ...any) {
	p.message = strings.TrimSpace(strings.ReplaceAll(format, "%v", ""))
	for _, a := range args {
		if err, ok := a.(error); ok {
			p.message += ": " + err.Error()
		}
	}
	runtime.Goexit()
}

func TestAwait(t *testing.T) {
	t.Run("waits a quarter of the time left, and fails with the last error", awaitFails)
	t.Run("returns as soon as check returns nil", awaitReturns)
}

func awaitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &recorder{TB: t, end: time.Now().Add(10 * time.Minute)}
		began, calls := time.Now(), 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			Await(p, "the phone rings", func() error {
				calls++
				return errors.New("it is silent")
			})
		}()
		<-done
		if took := time.Since(began); took != 150*time.Second {
			t.Errorf("it waited %v of 10 min", took)
		}
		if !strings.HasSuffix(p.message, "it is silent") || calls < 10000 {
			t.Errorf("after %d calls the message is %q", calls, p.message)
		}
	})
}

func awaitReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, left := time.Now(), 3
		Await(&recorder{TB: t, end: time.Now().Add(time.Hour)}, "the third call", func() error {
			if left--; left > 0 {
				return errors.New("not yet")
			}
			return nil
		})
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestSeed(t *testing.T) {
	t.Setenv("TEST_SEED", "")
	if one, other := Seed(t), Seed(t); one == other {
		t.Errorf("two seeds are both %d", one)
	}
	t.Setenv("TEST_SEED", "42")
	if seed := Seed(t); seed != 42 {
		t.Errorf("the seed is %d", seed)
	}
	if one, other := Rand(t).Uint64(), Rand(t).Uint64(); one != other {
		t.Error("the same seed leads to other numbers")
	}
}

func TestPort(t *testing.T) {
	var port int
	t.Run("reserves the port", func(t *testing.T) {
		port = Port(t)
		if other, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			other.Close()
			t.Errorf("another process could get port %d too", port)
		}
	})
	server, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	after, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("port %d is not free after its test: %v", port, err)
	}
	after.Close()
}

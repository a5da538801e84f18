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

// patient is a test whose process ends at a time.
type patient struct {
	testing.TB
	end  time.Time
	said string
}

func (p *patient) Deadline() (time.Time, bool) { return p.end, true }

func (p *patient) Fatalf(format string, args ...any) {
	p.said = strings.TrimSpace(strings.ReplaceAll(format, "%v", ""))
	for _, a := range args {
		if err, ok := a.(error); ok {
			p.said += ": " + err.Error()
		}
	}
	runtime.Goexit()
}

func TestAWaitTakesAShareOfTheTimeThatIsLeftAndSaysWhatItSawLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{TB: t, end: time.Now().Add(10 * time.Minute)}
		began, looks := time.Now(), 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			Await(p, "the phone rings", func() error {
				looks++
				return errors.New("it is mute")
			})
		}()
		<-done
		if took := time.Since(began); took != 150*time.Second {
			t.Errorf("it waited %v of 10 min", took)
		}
		if !strings.HasSuffix(p.said, "it is mute") || looks < 10000 {
			t.Errorf("after %d looks it said %q", looks, p.said)
		}
	})
}

func TestAWaitEndsAsSoonAsNothingIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, left := time.Now(), 3
		Await(&patient{TB: t, end: time.Now().Add(time.Hour)}, "the third look", func() error {
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

func TestASeedCanBeGiven(t *testing.T) {
	t.Setenv("TEST_SEED", "")
	if one, other := Seed(t), Seed(t); one == other {
		t.Errorf("two seeds are both %d", one)
	}
	t.Setenv("TEST_SEED", "42")
	if seed := Seed(t); seed != 42 {
		t.Errorf("the seed is %d", seed)
	}
	if one, other := Rand(t).Uint64(), Rand(t).Uint64(); one != other {
		t.Error("the same seed gives other numbers")
	}
}

func TestAPortBelongsToOneTestUntilItsEnd(t *testing.T) {
	var port int
	t.Run("holds it", func(t *testing.T) {
		port = Port(t)
		if other, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			other.Close()
			t.Errorf("another process would be given port %d too", port)
		}
	})
	server, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	after, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("port %d is held after its test: %v", port, err)
	}
	after.Close()
}

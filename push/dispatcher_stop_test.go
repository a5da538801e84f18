package push

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("sends in flight finish, and none begins", stopInFlight)
	t.Run("a dispatcher whose context has ended sends nothing", stopBefore)
	t.Run("a send that hangs delays a shutdown only for seconds", stopHanging)
}

func stopInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone, tablet := h.phone("phone"), h.phone("tablet")
		h.answers(slow(5 * time.Second))
		stop := h.run()
		ids := h.mail(3)
		after(time.Second)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("it took %v, the sends in flight 4s", took)
		}
		for _, d := range []idlepush.Device{phone, tablet} {
			if got := h.received(d); !slices.Equal(got, ids[:1]) {
				t.Errorf("%s got %d mails", d.Name, len(got))
			}
			h.wantState(ids[:1], d, idlepush.DeliveryDelivered)
			h.wantState(ids[1:], d, idlepush.DeliveryPending)
		}
		h.answers(nil)
		h.run()
		synctest.Wait()
		for _, d := range []idlepush.Device{phone, tablet} {
			if got := h.received(d); !slices.Equal(got, ids) {
				t.Errorf("after the restart %s has %d of %d mails", d.Name, len(got), len(ids))
			}
		}
	})
}

func stopBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.crowd(10)
		h.mail(1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d := &Dispatcher{Store: h.store.Outbox, Transports: h.transports, URL: func() string { return "" }, Log: slog.New(slog.DiscardHandler)}
		d.Run(ctx)
		if n := len(h.sends()); n > 0 {
			t.Errorf("%d sends", n)
		}
	})
}

// The message is sent again later, with the same id.
func stopHanging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.answers(hang)
		stop := h.run()
		ids := h.mail(2)
		after(time.Second)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		h.wantState(ids, phone, idlepush.DeliveryPending)
		h.reopen()
		h.answers(nil)
		h.run()
		after(minRetryWait)
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("after the restart it got %d of %d mails", len(got), len(ids))
		}
		for _, p := range h.sends()[:2] {
			if p.message.ID != ids[0] {
				t.Errorf("sent as %s, want the id %s both times", p.message.ID, ids[0])
			}
		}
	})
}

func TestSendTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.answers(hang)
		h.run()
		ids := h.mail(1)
		after(30*time.Second - 1)
		if d := h.delivery(ids[0], phone); d.Attempts != 0 {
			t.Errorf("given up early: %+v", d)
		}
		after(1)
		if d := h.delivery(ids[0], phone); d.Attempts != 1 || d.State != idlepush.DeliveryPending {
			t.Errorf("not given up: %+v", d)
		}
	})
}

// TestClosedStore checks that a store that fails is not called in a loop, and does not keep Run
// from ending.
func TestClosedStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.phone("phone")
		h.answers(slow(time.Second))
		stop := h.run()
		h.mail(2)
		synctest.Wait()
		if err := h.store.Close(); err != nil {
			t.Fatal(err)
		}
		after(time.Hour)
		if n := len(h.sends()); n != 1 {
			t.Errorf("%d sends without a store", n)
		}
		if n := strings.Count(h.lines.String(), "cannot read the outbox"); n < 30 || n > 80 {
			t.Errorf("said %d times in an hour", n)
		}
		if n := strings.Count(h.lines.String(), "cannot write the outcome"); n != 1 {
			t.Errorf("the one outcome that cannot be written is reported %d times", n)
		}
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %v to end", took)
		}
	})
}

// aloneVariable is set in the environment of a process that runs one test only.
const aloneVariable = "TEST_ALONE"

// alone runs the test in a bubble in a process of its own, because it measures or changes the state
// of its process.
func alone(t *testing.T, play func(*testing.T)) {
	if os.Getenv(aloneVariable) != "" {
		synctest.Test(t, play)
		return
	}
	t.Parallel()
	child := exec.CommandContext(testenv.Context(t), os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), aloneVariable+"=1")
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
}

// A limit of the size of files stands for a full disk. It concerns the whole process.
func TestFullDisk(t *testing.T) {
	alone(t, deliverOntoAFullDisk)
}

func deliverOntoAFullDisk(t *testing.T) {
	h := newHarness(t)
	phone := h.phone("phone")
	h.answers(func(context.Context, sent) registry.Outcome {
		spaceEnds(t, true)
		return accepted
	})
	h.run()
	ids := h.mail(2)
	after(time.Hour)
	if n := len(h.sends()); n != 1 {
		t.Errorf("%d sends while the disk is full", n)
	}
	h.wantState(ids, phone, idlepush.DeliveryPending)
	if n := strings.Count(h.lines.String(), "cannot write the outcome"); n != 1 {
		t.Errorf("said %d times that the outcome cannot be written", n)
	}
	spaceEnds(t, false)
	h.answers(nil)
	after(maxIdle)
	h.wantState(ids, phone, idlepush.DeliveryDelivered)
	if got := h.received(phone); !slices.Equal(got, ids) {
		t.Errorf("got %d mails, want each of %d once", len(got), len(ids))
	}
}

// spaceEnds limits files to one byte, or removes that limit.
func spaceEnds(t *testing.T, ends bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l)
	if l.Cur = l.Max; ends {
		l.Cur = 1
	}
	if err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)); err != nil {
		t.Error(err)
	}
}

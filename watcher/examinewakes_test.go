package watcher

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
)

func TestExamineWakes(t *testing.T) {
	t.Parallel()
	t.Run("an examination that works ends any wait for the next try", examineEndsWait)
	t.Run("and has a mailbox tried that was given up", examineEndsGivingUp)
	t.Run("the second of two at once leaves it watched", examineTwice)
	t.Run("one that fails, or of a mailbox that is watched, has nothing tried", examineWakesNobody)
}

// examinedBy has the pool examine the account as it is in the store.
func (h *harness) examinedBy(t *testing.T, p *Pool) []string {
	t.Helper()
	a, err := h.store.Accounts.Get(h.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	var list []idlepush.Step
	p.Examine(t.Context(), a, 0, func(s idlepush.Step) { list = append(list, s) })
	return steps(t, list)
}

// triesAgain is what an examination tells when it has a mailbox tried again.
const triesAgain = "ok examined_tried_again"

func examineEndsWait(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct{ command, answer string }{
		"of a refused login":       {"LOGIN", "TAG NO " + wrong + "\r\n"},
		"that the server demands":  {"LOGIN", "TAG NO [LIMIT] too many connections\r\n"},
		"of a server that is down": {"greeting", "* BYE shutting down\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage()
				h, d, w := harnessAt(t, o.script)
				h.trustIdle(t)
				pool, end := h.watch(t, d)
				defer w.serving.Wait()
				defer end()
				time.Sleep(time.Minute)
				synctest.Wait()
				o.set(at.command, at.answer)
				time.Sleep(5 * time.Hour)
				synctest.Wait()
				o.set("", "")
				if got := h.examinedBy(t, pool); !slices.Contains(got, triesAgain) {
					t.Errorf("told %q", got)
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if st := h.status(t); st.State != idlepush.StateWatching || st.Failures > 0 {
					t.Errorf("it is %+v", st)
				}
			})
		})
	}
}

func examineEndsGivingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		h, d, w := harnessAt(t, o.script)
		h.rest = lookAgain
		pool, end := h.watch(t, d)
		defer w.serving.Wait()
		defer end()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if st := h.status(t); !st.Ended() {
			t.Fatalf("it is %+v", st)
		}
		o.set("", "")
		if got := h.examinedBy(t, pool); !slices.Contains(got, triesAgain) {
			t.Errorf("told %q", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if st := h.status(t); st.State != idlepush.StateWatching || st.LoggedIn.IsZero() {
			t.Errorf("it is %+v", st)
		}
	})
}

// Both read the account before the first has it tried again.
func examineTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		h, d, w := harnessAt(t, o.script)
		h.rest = lookAgain
		pool, end := h.watch(t, d)
		defer w.serving.Wait()
		defer end()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		givenUp, err := h.store.Accounts.Get(h.account.ID)
		if err != nil || !givenUp.Status.Ended() {
			t.Fatalf("it is %+v, %v", givenUp.Status, err)
		}
		o.set("", "")
		for _, want := range []bool{true, false} {
			var list []idlepush.Step
			pool.Examine(t.Context(), givenUp, 0, func(s idlepush.Step) { list = append(list, s) })
			if got := slices.Contains(steps(t, list), triesAgain); got != want {
				t.Errorf("it tells that it is tried again: %v, want %v", got, want)
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			h.allWatching(t)
		}
	})
}

func examineWakesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, d, w := harnessAt(t, o.script)
		h.trustIdle(t)
		pool, end := h.watch(t, d)
		defer w.serving.Wait()
		defer end()
		time.Sleep(time.Minute)
		synctest.Wait()
		began := time.Now()
		if got := h.examinedBy(t, pool); slices.Contains(got, triesAgain) || len(o.tries(began)) != 1 {
			t.Errorf("of a mailbox that is watched it tells %q, with %d logins", got, len(o.tries(began)))
		}
		o.refuse(t, h)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		began, next := time.Now(), h.status(t).Retry
		if got := h.examinedBy(t, pool); slices.Contains(got, triesAgain) {
			t.Errorf("of a login that is refused it tells %q", got)
		}
		time.Sleep(time.Until(next) / 2)
		synctest.Wait()
		if n := len(o.tries(began)); n != 1 || !h.status(t).Retry.Equal(next) {
			t.Errorf("the login was sent %d times", n)
		}
		// What one examination has ended, no later wait ends for.
		o.set("", "")
		h.examinedBy(t, pool)
		time.Sleep(time.Minute)
		synctest.Wait()
		h.allWatching(t)
		first := o.refuse(t, h).Failing
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		for i, wait := range o.tries(first)[1:] {
			if least := loginWait(i+1, time.Hour); wait < least {
				t.Errorf("try %d came after %v, not %v", i+1, wait, least)
			}
		}
	})
}

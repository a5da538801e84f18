package watcher

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	t.Run("it ends by itself, whatever the server says, and no mail is lost", outageInWords)
	t.Run("a refused login is reported after an hour, and no more when it works again", outageReported)
	t.Run("a restart makes no refused login come sooner, and reports it no second time", outageRestart)
	t.Run("a password that is entered again is tried at once", outageEdited)
	t.Run("other trouble in between neither ends the refusals nor reports them again", outageMixed)
	t.Run("other trouble after a refusal is reported as the refusal after an hour", outageTurned)
	t.Run("a refusal from before other trouble of days is none of the next", outageSeparate)
	t.Run("a refusal of yesterday is not reported before it has lasted an hour of today", outageYesterday)
	t.Run("a lockout that each try prolongs ends", outageProlonged)
	t.Run("a refused login is tried and reported although the clock was ahead", outageClockAhead)
	t.Run("a refused login is tried and reported once although the clock is set back", outageClockBack)
	t.Run("a report is taken away also after its activity was purged", outagePurged)
}

// outage is a server that works, and in between answers with other words at one place.
type outage struct {
	script *imaptest.Script

	mu     sync.Mutex
	at     string // where it answers so: a command, or greeting; empty: it works
	answer string // in which TAG stands for the tag
	logins []time.Time
}

func newOutage() *outage {
	o := &outage{script: &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("old")}}, On: make(map[string]func(*imaptest.Talk, string))}}
	for _, command := range []string{"greeting", "LOGIN", "EXAMINE", "LIST"} {
		o.script.On[command] = func(talk *imaptest.Talk, args string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if command == "LOGIN" {
				o.logins = append(o.logins, time.Now())
			}
			if o.at != command {
				talk.Answer(command, args)
				return
			}
			say(talk, o.answer)
			if strings.Contains(o.answer, "* BYE") {
				talk.Close()
			}
		}
	}
	o.script.Beat = imaptest.Beat{Every: time.Minute, Do: func(talk *imaptest.Talk, _ int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.at != "" && o.at != "LIST" {
			talk.Bye("shutting down")
		}
	}}
	return o
}

// set begins an outage, or ends it if at is empty.
func (o *outage) set(at, answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at, o.answer = at, answer
}

// refuse has the login refused from now on, and returns the status after the first refusal.
func (o *outage) refuse(t *testing.T, h *harness) idlepush.Status {
	t.Helper()
	o.set("LOGIN", "TAG NO "+wrong+"\r\n")
	for h.status(t).Retry.IsZero() {
		time.Sleep(time.Second)
		synctest.Wait()
	}
	return h.status(t)
}

// locked reports whether the login is answered with other words.
func (o *outage) locked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at == "LOGIN"
}

// tries returns when logins came since a time, as the times that lay between.
func (o *outage) tries(since time.Time) (waits []time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.logins {
		if !at.Before(since) {
			waits, since = append(waits, at.Sub(since)), at
		}
	}
	return waits
}

// watched is an account at the server that has been watched for a minute.
func (o *outage) watched(t *testing.T) (h *harness, d Dialer, stop func()) {
	t.Helper()
	h, d, w := harnessAt(t, o.script)
	h.trustIdle(t)
	_, end := h.watch(t, d)
	time.Sleep(time.Minute)
	synctest.Wait()
	h.allWatching(t)
	return h, d, func() {
		end()
		w.serving.Wait()
	}
}

// attentions returns the notifications that a person must act, oldest first.
func (h *harness) attentions(t *testing.T) (list []idlepush.Notification) {
	t.Helper()
	all, _, err := h.store.History.List(h.account.Owner, "", 500, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.Kind == idlepush.KindAttention {
			list = append(list, n)
		}
	}
	slices.Reverse(list)
	return list
}

// reported checks how many notifications have said by now that the account needs attention.
func (h *harness) reported(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	if n := len(h.attentions(t)); n != want {
		t.Errorf("it was reported %d times, not %d", n, want)
	}
}

func (h *harness) status(t *testing.T) idlepush.Status {
	t.Helper()
	a, err := h.store.Accounts.Get(h.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status
}

const wrong = "[AUTHENTICATIONFAILED] Authentication failed."

// troubles are words for what passes, and blames those for what only a person can change.
var (
	troubles = []string{"System error", "Temporary system problem. Please try again later.", "[UNAVAILABLE] later", "[INUSE] wait", "[SERVERBUG] oh", "[LIMIT] enough",
		"Too many simultaneous connections", "Too many login attempts, try again in 15 minutes", "Temporary authentication failure. [host:2026-11-28]",
		"Request is throttled. Suggested Backoff Time: 92415 milliseconds"}
	blames = []string{wrong, "Login failed.", "no such user", "[AUTHORIZATIONFAILED] no", "[EXPIRED] no", "[CONTACTADMIN] no", "[PRIVACYREQUIRED] no", "[NOPERM] no",
		"Application-specific password required", "[ALERT] Please log in via your web browser", "IMAP access is disabled for your domain", "Basic authentication is disabled."}
)

// outageInWords takes all cases in the long tests, and every thirteenth by default. By default, all
// trouble but a refused login lasts two days, because its days are alike.
func outageInWords(t *testing.T) {
	t.Parallel()
	n := 0
	for _, days := range []int{3, 10} {
		for _, words := range slices.Concat(troubles, blames) {
			for _, place := range []struct{ at, answer string }{
				{"LOGIN", "TAG NO " + words + "\r\n"}, {"LOGIN", "* BYE " + words + "\r\n"}, {"greeting", "* BYE " + words + "\r\n"},
				{"EXAMINE", "TAG NO " + words + "\r\n"}, {"LIST", "TAG NO " + words + "\r\n"},
			} {
				if n++; !testenv.Soak && n%13 != 0 {
					continue
				}
				lasts := days
				if !testenv.Soak && !blamesPerson(place.at, place.answer) {
					lasts = 2
				}
				t.Run(fmt.Sprintf("%d days at %s of %q", lasts, place.at, place.answer), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { outageOf(t, time.Duration(lasts)*24*time.Hour, place.at, place.answer) })
				})
			}
		}
	}
}

func outageOf(t *testing.T, lasts time.Duration, at, answer string) {
	o := newOutage()
	h, _, stop := o.watched(t)
	defer stop()
	o.set(at, answer)
	began := time.Now()
	time.Sleep(lasts - time.Hour)
	if n, most := len(o.tries(began)), mostLogins(at, answer, lasts); n > most {
		t.Errorf("it logged in %d times, not %d", n, most)
	}
	o.script.Deliver(imaptest.Message{Header: subject("during"), Date: time.Now()})
	time.Sleep(time.Hour)
	o.set("", "")
	// The longest time until the next try.
	wait := usualLoginWait
	if lasts > usualLoginFor {
		wait = rareLoginWait
	}
	time.Sleep(wait * 11 / 10)
	synctest.Wait()
	o.script.Deliver(imaptest.Message{Header: subject("after"), Date: time.Now()})
	synctest.Wait()
	if got := subjects(h.mails(t)); !slices.Equal(got, []string{"during", "after"}) {
		t.Errorf("notified %q", got)
	}
	h.allWatching(t)
	for _, n := range h.attentions(t) {
		if n.Cleared.IsZero() {
			t.Errorf("it still says %q", n.Code)
		}
	}
}

// blamesPerson reports whether an answer is a refusal that only a person can end.
func blamesPerson(at, answer string) bool {
	return at == "LOGIN" && slices.ContainsFunc(blames, func(words string) bool { return strings.Contains(answer, words) })
}

// mostLogins returns how often an account may log in at most within a time. Providers lock out who
// tries a password often that they have refused.
func mostLogins(at, answer string, within time.Duration) int {
	if blamesPerson(at, answer) {
		return 3 + int(within/usualLoginWait)
	}
	return int(within / time.Minute)
}

func TestLoginWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		count  int
		lasted time.Duration
		wait   time.Duration
	}{
		{1, 0, time.Minute}, {2, time.Minute, 10 * time.Minute}, {3, 11 * time.Minute, time.Hour}, {4, 71 * time.Minute, 2 * time.Hour},
		{80, 7*24*time.Hour - 1, 2 * time.Hour}, {81, 7 * 24 * time.Hour, 24 * time.Hour}, {1000, 365 * 24 * time.Hour, 24 * time.Hour},
		{3, 8 * 24 * time.Hour, time.Hour}, {5, -time.Hour, 2 * time.Hour},
	} {
		if got := loginWait(c.count, c.lasted); got != c.wait {
			t.Errorf("after %d in %v it is %v, want %v", c.count, c.lasted, got, c.wait)
		}
	}
	now := time.Now()
	for range 100 {
		r := refusals{count: 3, since: now.Add(-3 * time.Hour)}
		r.add(now)
		if wait := r.wait(now); wait < usualLoginWait || wait > usualLoginWait*11/10 {
			t.Errorf("it waits %v", wait)
		}
		// The clock was set back by a year.
		if wait := r.wait(now.AddDate(-1, 0, 0)); wait > usualLoginWait*11/10 {
			t.Errorf("it waits %v", wait)
		}
	}
}

func outageReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, _, stop := o.watched(t)
		defer stop()
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		time.Sleep(2 * time.Minute) // the server hangs up, and the first try is refused
		synctest.Wait()
		st := h.status(t)
		if st.State != idlepush.StateRetrying || st.Code != "login_refused" || st.Params[codes.Case] != workedBefore || st.Retry.IsZero() {
			t.Errorf("at once the status is %+v", st)
		}
		refused := st.Failing
		time.Sleep(time.Until(refused.Add(59 * time.Minute)))
		h.reported(t, 0)
		time.Sleep(time.Until(refused.Add(80 * time.Minute)))
		synctest.Wait()
		if said := h.attentions(t); h.status(t).State != idlepush.StateAttention || len(said) != 1 || said[0].Code != "login_refused" || !said[0].Cleared.IsZero() {
			t.Errorf("after an hour the status is %+v, notified was %+v", h.status(t), said)
		}
		time.Sleep(10 * 24 * time.Hour)
		if n := len(h.attentions(t)); n > 1 {
			t.Errorf("after ten days %d notifications say so", n)
		}
		tries := o.tries(refused)
		for i, wait := range tries[1:] {
			least := loginWait(i+1, refused.Add(sum(tries[:i+1])).Sub(refused))
			if wait < least || wait > least*11/10+time.Second {
				t.Errorf("try %d came after %v, not %v", i+1, wait, least)
			}
		}
		o.set("", "")
		time.Sleep(27 * time.Hour)
		synctest.Wait()
		if said := h.attentions(t); h.status(t).State != idlepush.StateWatching || len(said) != 1 || said[0].Cleared.IsZero() {
			t.Errorf("in the end the status is %+v, notified was %+v", h.status(t), said)
		}
		if st := h.status(t); st.Failures > 0 || !st.Failing.IsZero() || !st.Retry.IsZero() {
			t.Errorf("the status still has refusals: %+v", st)
		}
	})
}

func sum(list []time.Duration) (total time.Duration) {
	for _, d := range list {
		total += d
	}
	return total
}

func outageRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, d, stop := o.watched(t)
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		time.Sleep(6 * time.Hour)
		before, tried := h.status(t), len(o.tries(time.Time{}))
		for range 5 {
			stop()
			_, stop = h.watch(t, d)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if st := h.status(t); st.State != idlepush.StateAttention || !st.Since.Equal(before.Since) || !st.Retry.Equal(before.Retry) || len(o.tries(time.Time{})) != tried {
			t.Errorf("after %d logins it is %+v, and was %+v", len(o.tries(time.Time{}))-tried, st, before)
		}
		time.Sleep(time.Until(before.Retry) + time.Second)
		if st := h.status(t); st.Failures != before.Failures+1 || len(o.tries(time.Time{})) != tried+1 || len(h.attentions(t)) != 1 {
			t.Errorf("after the next try it is %+v, and was reported %d times", st, len(h.attentions(t)))
		}
		o.set("", "")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		h.allWatching(t)
		stop()
	})
}

func outageEdited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, _, stop := o.watched(t)
		defer stop()
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		time.Sleep(30 * time.Minute)
		o.set("", "")
		a, err := h.store.Accounts.Get(h.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.store.Accounts.UpdateChecked(a, "", time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		h.allWatching(t)
	})
}

func outageMixed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, _, stop := o.watched(t)
		defer stop()
		for day := range 3 {
			o.set("LOGIN", "TAG NO "+wrong+"\r\n")
			time.Sleep(20 * time.Hour)
			o.set("greeting", "* BYE System error\r\n")
			time.Sleep(4 * time.Hour)
			synctest.Wait()
			if st := h.status(t); st.State != idlepush.StateAttention || st.Code != "login_refused" || st.Failures < 10*(day+1) || len(h.attentions(t)) != 1 {
				t.Errorf("on day %d it is %+v, and was reported %d times", day, st, len(h.attentions(t)))
			}
		}
		o.set("", "")
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		h.allWatching(t)
		if !h.attentions(t)[0].Cleared.After(time.Now().Add(-16 * time.Minute)) {
			t.Error("the report is not taken away")
		}
	})
}

func outageTurned(t *testing.T) {
	t.Parallel()
	for _, turn := range []struct{ at, answer string }{
		{"LOGIN", "TAG NO Too many login attempts, try again in 15 minutes\r\n"}, {"greeting", "* BYE go away\r\n"}, {"greeting", "* BYE Too many connections\r\n"},
	} {
		t.Run(fmt.Sprintf("%s %q", turn.at, turn.answer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage()
				h, d, stop := o.watched(t)
				o.set("LOGIN", "TAG NO "+wrong+"\r\n")
				time.Sleep(5 * time.Minute)
				o.set(turn.at, turn.answer)
				refused := h.status(t).Failing
				time.Sleep(45 * time.Minute)
				stop() // another failure is in the store by now
				_, stop = h.watch(t, d)
				defer func() { stop() }()
				time.Sleep(time.Until(refused.Add(59 * time.Minute)))
				h.reported(t, 0)
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				if said, st := h.attentions(t), h.status(t); st.State != idlepush.StateAttention || st.Code != "login_refused" || len(said) != 1 || !said[0].Reason.Equal(st.Reason.With(codes.Account, h.account.Email)) {
					t.Errorf("after hours the status is %+v, notified was %+v", st, said)
				}
				tries := len(o.tries(time.Time{}))
				time.Sleep(2 * 24 * time.Hour)
				if n := len(o.tries(time.Time{})) - tries; n > 24 {
					t.Errorf("in two days it logged in %d times", n)
				}
				h.reported(t, 1)
				o.set("", "")
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				h.allWatching(t)
			})
		})
	}
}

func outageSeparate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, _, stop := o.watched(t)
		defer stop()
		first := o.refuse(t, h).Failing
		o.set("EXAMINE", "TAG NO [UNAVAILABLE] later\r\n")
		time.Sleep(8 * 24 * time.Hour)
		synctest.Wait()
		if st := h.status(t); st.State != idlepush.StateRetrying || st.Failures > 0 {
			t.Errorf("while logins work it is %+v", st)
		}
		if second := o.refuse(t, h).Failing; second.Sub(first) < 8*24*time.Hour {
			t.Errorf("the refusal is from %v after the first", second.Sub(first))
		}
		h.reported(t, 0)
		time.Sleep(80 * time.Minute)
		h.reported(t, 1)
	})
}

// In the morning the network takes some minutes, or the server has other trouble.
func outageYesterday(t *testing.T) {
	t.Parallel()
	for _, restarts := range []bool{true, false} {
		t.Run(fmt.Sprint("after a restart: ", restarts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage()
				h, d, stop := o.watched(t)
				stop()
				clock := new(registrytest.Clock)
				pool, stop := h.watchBy(t, d, clock.Now)
				defer func() { stop() }()
				time.Sleep(time.Minute)
				o.refuse(t, h)
				o.set("greeting", "* BYE go away\r\n")
				if restarts {
					stop()
					clock.Move(14 * time.Hour)
					_, stop = h.watchBy(t, d, clock.Now)
				} else {
					clock.Move(14 * time.Hour)
					pool.AskNow() // as clocks.Watch does
				}
				time.Sleep(10 * time.Minute)
				h.reported(t, 0)
				time.Sleep(70 * time.Minute)
				h.reported(t, 1)
			})
		})
	}
}

func outageProlonged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		answer := o.script.On["LOGIN"]
		var last time.Time
		o.script.On["LOGIN"] = func(talk *imaptest.Talk, args string) {
			if o.locked() && time.Since(last) > 90*time.Minute {
				o.set("", "")
			}
			last = time.Now()
			answer(talk, args)
		}
		h, _, stop := o.watched(t)
		defer stop()
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		time.Sleep(5 * time.Minute)
		o.set("LOGIN", "TAG NO Too many login attempts, try again in 90 minutes\r\n")
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		h.allWatching(t)
	})
}

func outageClockAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, d, stop := o.watched(t)
		stop()
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		now, ahead := time.Now(), 30*24*time.Hour
		a, err := h.store.Accounts.Get(h.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.store.Mail.SetState(a, idlepush.Status{State: idlepush.StateRetrying, Since: now, Failures: 4, Failing: now.Add(ahead - time.Hour), Retry: now.Add(ahead + 2*time.Hour)}); err != nil {
			t.Fatal(err)
		}
		_, stop = h.watch(t, d)
		defer func() { stop() }()
		time.Sleep(3 * time.Hour)
		if n := len(o.tries(now)); n != 1 {
			t.Errorf("within three hours it logged in %d times", n)
		}
		time.Sleep(3 * time.Hour)
		if st := h.status(t); st.State != idlepush.StateAttention || st.Failing.After(now.Add(3*time.Hour)) || len(h.attentions(t)) != 1 {
			t.Errorf("after six hours the status is %+v, and was reported %d times", st, len(h.attentions(t)))
		}
		o.set("", "")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		h.allWatching(t)
	})
}

func outageClockBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, d, stop := o.watched(t)
		stop()
		clock := new(registrytest.Clock)
		pool, stop := h.watchBy(t, d, clock.Now)
		defer func() { stop() }()
		time.Sleep(time.Minute)
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		for range 3 {
			time.Sleep(6 * time.Hour)
			clock.Move(-30 * 24 * time.Hour)
			pool.AskNow() // as clocks.Watch does
			before := time.Now()
			time.Sleep(usualLoginWait*11/10 + time.Minute)
			if n := len(o.tries(before)); n != 1 {
				t.Errorf("within two hours it logged in %d times", n)
			}
		}
		h.reported(t, 1)
		o.set("", "")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		h.allWatching(t)
	})
}

func outagePurged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage()
		h, _, stop := o.watched(t)
		defer stop()
		phone := idlepush.Device{User: h.account.Owner, Transport: "fcm", Lane: "fcm", Address: "token", Content: idlepush.LevelSubject}
		var err error
		if h.device, _, err = h.store.Devices.Register(phone, "", time.Now()); err != nil {
			t.Fatal(err)
		}
		o.set("LOGIN", "TAG NO "+wrong+"\r\n")
		time.Sleep(2 * time.Hour)
		said := h.attentions(t)
		h.deliverAll(t)
		for range 10 {
			time.Sleep(24 * time.Hour)
			if err := h.store.Purge(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		o.set("", "")
		time.Sleep(time.Until(h.status(t).Retry.Add(time.Second)))
		synctest.Wait()
		h.allWatching(t)
		w, ok, err := h.store.Outbox.Next(h.device.ID, time.Now())
		if len(said) != 1 || err != nil || !ok || !slices.Equal(w.Notification.Clear, []string{said[0].ID}) {
			t.Errorf("notified was %+v, and the phone is sent %+v, %v", said, w.Notification, err)
		}
	})
}

package watcher

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/codes"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

func TestFillIn(t *testing.T) {
	t.Parallel()
	t.Run("a message without content is retried ever more rarely", fillInSchedule)
	t.Run("a notification without content is filled in under the same ID", fillInSameID)
	t.Run("mail of a busy server is filled in when it has time", fillInBusyServer)
	t.Run("mail that is never sent is notified once, and retried a bounded number of times", fillInNeverSent)
	t.Run("mail that is read meanwhile is cleared, and not notified again", fillInReadMeanwhile)
	t.Run("own mail that was notified without content is filled in like any other", fillInOwnMail)
	t.Run("mail whose FETCH ends the session is not retried before a restart", fillInEndsSession)
	t.Run("retrying many messages holds up no other", fillInManyMessages)
}

func fillInSchedule(t *testing.T) {
	t.Parallel()
	notified := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	const never = -1
	for _, c := range []struct{ asked, want time.Duration }{ // after it was notified
		{never, time.Minute},
		{time.Minute, 11 * time.Minute},
		{10*time.Minute - 1, 20*time.Minute - 1},
		{11 * time.Minute, 71 * time.Minute},
		{71 * time.Minute, 7*time.Hour + 11*time.Minute},
		{30 * time.Hour, 36 * time.Hour},
		{66*time.Hour - 1, 72*time.Hour - 1},
		{66 * time.Hour, never},
		{80 * time.Hour, never},
		{-time.Hour, -50 * time.Minute}, // the clock was set back
	} {
		var asked, want time.Time
		if c.asked != never {
			asked = notified.Add(c.asked)
		}
		if c.want != never {
			want = notified.Add(c.want)
		}
		if got := askNext(notified, asked); !got.Equal(want) {
			t.Errorf("after a retry at %v the next is at %v, want %v", c.asked, got, want)
		}
	}
}

// withholdingServer is a server that sends no mail, and notes which messages clients fetched.
type withholdingServer struct {
	*folderServer
	withholds atomic.Bool
	mu        sync.Mutex // guards fetches
	fetches   []time.Time
}

func newWithholdingServer(answer string, folders ...string) *withholdingServer {
	m := &withholdingServer{folderServer: newFolderServer("IMAP4rev1 IDLE NOTIFY", folders...)}
	m.proven = true
	m.withholds.Store(true)
	m.refuse = func(_, command, _ string) string {
		if command != "UID FETCH" {
			return ""
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.fetches = append(m.fetches, time.Now())
		if m.withholds.Load() {
			return answer
		}
		return ""
	}
	return m
}

// askedAt returns the times after from of the fetches.
func (m *withholdingServer) askedAt(from time.Time) (after []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.fetches {
		after = append(after, at.Sub(from))
	}
	return after
}

const cannot = "TAG NO [SERVERBUG] cannot\r\n"

// pushed delivers everything queued for the device and returns each as its id and subject.
func (h *harness) pushed(t *testing.T) (list [][2]string) {
	t.Helper()
	synctest.Wait()
	for {
		w, ok, err := h.store.Outbox.Next(h.device.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list
		}
		if _, err := h.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultDelivered}, time.Now()); err != nil {
			t.Fatal(err)
		}
		list = append(list, [2]string{w.Notification.ID, w.Notification.Content.Subject})
	}
}

func (h *harness) code(t *testing.T) codes.Code {
	t.Helper()
	a, err := h.store.Accounts.Get(h.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status.Code
}

func fillInSameID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, folder string
		restart      bool
		given        time.Duration // after it came
		within       time.Duration // of that
	}{
		{"after a minute", "INBOX", false, time.Minute, 21 * time.Second},
		{"in another folder", "B", false, time.Minute, 21 * time.Second},
		{"after 10 min", "INBOX", false, 3 * time.Minute, 9 * time.Minute},
		{"after two days", "B", false, 48 * time.Hour, 6 * time.Hour},
		{"after a restart", "INBOX", true, 30 * time.Hour, time.Minute},
		{"in another folder after a restart", "B", true, 30 * time.Hour, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newWithholdingServer(cannot, "INBOX", "B")
				h, stop := m.watched(t, "INBOX", "B")
				came := time.Now()
				m.deliver(c.folder, subject("one"), came)
				m.deliver(c.folder, subject("two"), came)
				time.Sleep(30 * time.Second)
				first := h.pushed(t)
				if len(first) != 2 || first[0][1]+first[1][1] != "" || h.code(t) != "mail_unreadable" {
					t.Fatalf("notified %q, and the status is %q", first, h.code(t))
				}
				time.Sleep(time.Until(came.Add(c.given)))
				if again := h.pushed(t); len(again) > 0 {
					t.Errorf("before it is sent, %q were notified", again)
				}
				if c.restart {
					stop()
				}
				m.withholds.Store(false)
				if c.restart {
					_, end := h.watch(t, Dialer{Permit: permitAll, Dial: m.dial})
					stop = func() { end(); m.serving.Wait() }
				}
				defer stop()
				time.Sleep(c.within)
				want := [][2]string{{first[0][0], "one"}, {first[1][0], "two"}}
				if got := h.pushed(t); !slices.Equal(got, want) || h.code(t) != "" {
					t.Errorf("then %q were notified, want %q; the status is %q", got, want, h.code(t))
				}
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("the list shows %q", got)
				}
				fetches := len(m.askedAt(came))
				time.Sleep(12 * time.Hour)
				if got := h.pushed(t); len(got) > 0 || len(m.askedAt(came)) > fetches {
					t.Errorf("after that %q were notified, and there were %d fetches", got, len(m.askedAt(came))-fetches)
				}
			})
		})
	}
}

func fillInBusyServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newWithholdingServer("TAG NO [UNAVAILABLE] try again later\r\n", "INBOX")
		h, stop := m.watched(t, "INBOX")
		defer stop()
		m.deliver("INBOX", subject("one"), time.Now())
		time.Sleep(10 * time.Minute)
		first := h.pushed(t)
		if len(first) != 1 || first[0][1] != "" {
			t.Fatalf("notified %q", first)
		}
		m.withholds.Store(false)
		time.Sleep(time.Hour)
		if got, want := h.pushed(t), [][2]string{{first[0][0], "one"}}; !slices.Equal(got, want) {
			t.Errorf("then %q were notified, want %q", got, want)
		}
	})
}

func fillInNeverSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newWithholdingServer(cannot, "INBOX")
		h, stop := m.watched(t, "INBOX")
		defer stop()
		came := time.Now()
		m.deliver("INBOX", subject("one"), came)
		time.Sleep(time.Minute)
		if got := h.pushed(t); len(got) != 1 {
			t.Errorf("%d were notified", len(got))
		}
		time.Sleep(71 * time.Hour)
		if got := h.pushed(t); len(got) > 0 {
			t.Errorf("then %d were notified", len(got))
		}
		time.Sleep(18 * time.Hour) // more than twice the longest wait
		notified := 20 * time.Second
		want := []time.Duration{0, time.Second, 5 * time.Second, notified, notified + time.Minute, notified + 11*time.Minute}
		for at := 71 * time.Minute; at < 72*time.Hour; at += 6 * time.Hour {
			want = append(want, notified+at)
		}
		if got := m.askedAt(came); !slices.Equal(got, want) {
			t.Errorf("it was fetched after %v, want %v", got, want)
		}
	})
}

func fillInReadMeanwhile(t *testing.T) {
	t.Parallel()
	read := func(script *imaptest.Script) { script.Flag(1, `\Seen`) }
	for name, row := range map[string]struct {
		mute   bool
		change func(*imaptest.Script)
	}{
		"read":                   {false, read},
		"read, and not reported": {true, read},
		"removed":                {false, func(script *imaptest.Script) { script.Remove(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, scriptedAccount)
				h.trustIdle(t)
				h.from(t, 1)
				var withholds atomic.Bool
				withholds.Store(true)
				var fetches atomic.Int32
				script := &imaptest.Script{Mute: row.mute, Messages: []imaptest.Message{{UID: 1, Header: subject("one")}}, On: map[string]func(*imaptest.Talk, string){
					"UID FETCH": func(talk *imaptest.Talk, args string) {
						fetches.Add(1)
						if withholds.Load() {
							talk.Say("%s NO [SERVERBUG] cannot\r\n", talk.Tag)
							return
						}
						talk.Answer("UID FETCH", args)
					}}}
				defer h.live(t, script)()
				time.Sleep(30 * time.Second)
				if got := h.pushed(t); len(got) != 1 {
					t.Fatalf("%q were notified", got)
				}
				row.change(script)
				withholds.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				before := fetches.Load()
				time.Sleep(4 * 24 * time.Hour)
				for _, got := range h.pushed(t) {
					t.Errorf("then %q were notified", got)
				}
				n := h.mails(t)
				if len(n) != 1 || n[0].Cleared.IsZero() {
					t.Errorf("it is not cleared: %+v", n)
				}
				if n := fetches.Load() - before; !row.mute && n > 0 {
					t.Errorf("it was fetched %d more times", n)
				}
			})
		})
	}
}

func fillInOwnMail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newWithholdingServer(cannot, "INBOX")
		h, stop := m.watched(t, "INBOX")
		defer stop()
		m.deliver("INBOX", "From: anna@example.org\r\n"+subject("own"), time.Now())
		time.Sleep(time.Minute)
		m.withholds.Store(false)
		time.Sleep(time.Minute)
		if got := h.mails(t); len(got) != 1 || !got[0].Cleared.IsZero() || got[0].Content.Subject != "own" {
			t.Errorf("%+v", got)
		}
	})
}

func fillInEndsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newWithholdingServer("* BYE Server shutting down.\r\n", "INBOX")
		h, stop := m.watched(t, "INBOX")
		came := time.Now()
		m.deliver("INBOX", subject("one"), came)
		time.Sleep(time.Hour)
		first := h.pushed(t)
		if len(first) != 1 || first[0][1] != "" {
			t.Fatalf("notified %q", first)
		}
		m.withholds.Store(false)
		fetches := len(m.askedAt(came))
		time.Sleep(48 * time.Hour)
		if n := len(m.askedAt(came)); n > fetches {
			t.Errorf("it was fetched %d more times", n-fetches)
		}
		stop()
		_, end := h.watch(t, Dialer{Permit: permitAll, Dial: m.dial})
		time.Sleep(time.Minute)
		if got, want := h.pushed(t), [][2]string{{first[0][0], "one"}}; !slices.Equal(got, want) {
			t.Errorf("after a restart %q were notified, want %q", got, want)
		}
		end()
		m.serving.Wait()
	})
}

func fillInManyMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newWithholdingServer(cannot, "INBOX", "B")
		var since, most atomic.Int32 // the last look at INBOX; between two
		refuse := m.refuse
		m.refuse = func(folder, command, args string) string {
			switch {
			case command == "UID SEARCH" && folder == "INBOX" && !strings.Contains(args, "UNSEEN"):
				since.Store(0)
			case command == "UID FETCH":
				most.Store(max(most.Load(), since.Add(1)))
			}
			return refuse(folder, command, args)
		}
		h, stop := m.watched(t, "INBOX", "B")
		defer stop()
		const many = 90
		for n := range many {
			m.deliver([]string{"INBOX", "B"}[n%2], subject(fmt.Sprint("mail ", n)), time.Now())
		}
		time.Sleep(3 * time.Minute)
		if got := h.mails(t); len(got) != many {
			t.Fatalf("%d were notified", len(got))
		}
		most.Store(0)
		m.withholds.Store(false)
		time.Sleep(15 * time.Minute)
		if got := h.mails(t); slices.Contains(subjects(got), "") || most.Load() > 2*batch {
			t.Errorf("up to %d were fetched between two looks; %q", most.Load(), subjects(got))
		}
	})
}

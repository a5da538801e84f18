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

	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

func TestMailWithoutWordsIsAskedForEverMoreRarely(t *testing.T) {
	t.Parallel()
	rang := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	const never = -1
	for _, c := range []struct{ asked, want time.Duration }{ // after it rang
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
			asked = rang.Add(c.asked)
		}
		if c.want != never {
			want = rang.Add(c.want)
		}
		if got := askNext(rang, asked); !got.Equal(want) {
			t.Errorf("after a retry at %v the next is at %v, want %v", c.asked, got, want)
		}
	}
}

// miser is a server that sends no mail, and notes which messages clients fetched.
type miser struct {
	*folderServer
	stingy  atomic.Bool
	mu      sync.Mutex // guards fetches
	fetches []time.Time
}

func newMiser(answer string, folders ...string) *miser {
	m := &miser{folderServer: newFolderServer("IMAP4rev1 IDLE NOTIFY", folders...)}
	m.stingy.Store(true)
	m.refuse = func(_, command, _ string) string {
		if command != "UID FETCH" {
			return ""
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.fetches = append(m.fetches, time.Now())
		if m.stingy.Load() {
			return answer
		}
		return ""
	}
	return m
}

// askedAt returns the times after from of the fetches.
func (m *miser) askedAt(from time.Time) (after []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.fetches {
		after = append(after, at.Sub(from))
	}
	return after
}

const cannot = "TAG NO [SERVERBUG] cannot\r\n"

// pushed delivers everything queued for the device and returns each as its id and subject.
func (h *house) pushed(t *testing.T) (list [][2]string) {
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

func (h *house) code(t *testing.T) string {
	t.Helper()
	a, err := h.store.Accounts.Get(h.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status.Code
}

func TestMailThatRangWithoutWordsIsFilledInUnderTheSameID(t *testing.T) {
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
				m := newMiser(cannot, "INBOX", "B")
				h, stop := m.watched(t, "INBOX", "B")
				came := time.Now()
				m.deliver(c.folder, subject("one"), came)
				m.deliver(c.folder, subject("two"), came)
				time.Sleep(30 * time.Second)
				first := h.pushed(t)
				if len(first) != 2 || first[0][1]+first[1][1] != "" || h.code(t) != "mail_unreadable" {
					t.Fatalf("rang %q, and the status is %q", first, h.code(t))
				}
				time.Sleep(time.Until(came.Add(c.given)))
				if again := h.pushed(t); len(again) > 0 {
					t.Errorf("before it is given, %q rings", again)
				}
				if c.restart {
					stop()
				}
				m.stingy.Store(false)
				if c.restart {
					_, end := h.watch(t, Dialer{Permit: permitAll, dial: m.dial})
					stop = func() { end(); m.serving.Wait() }
				}
				defer stop()
				time.Sleep(c.within)
				want := [][2]string{{first[0][0], "one"}, {first[1][0], "two"}}
				if got := h.pushed(t); !slices.Equal(got, want) || h.code(t) != "" {
					t.Errorf("then %q rang, want %q; the status is %q", got, want, h.code(t))
				}
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("the list shows %q", got)
				}
				fetches := len(m.askedAt(came))
				time.Sleep(12 * time.Hour)
				if got := h.pushed(t); len(got) > 0 || len(m.askedAt(came)) > fetches {
					t.Errorf("after that %q rang, and there were %d fetches", got, len(m.askedAt(came))-fetches)
				}
			})
		})
	}
}

func TestMailOfABusyServerIsFilledInWhenItHasTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiser("TAG NO [UNAVAILABLE] try again later\r\n", "INBOX")
		h, stop := m.watched(t, "INBOX")
		defer stop()
		m.deliver("INBOX", subject("one"), time.Now())
		time.Sleep(10 * time.Minute)
		first := h.pushed(t)
		if len(first) != 1 || first[0][1] != "" {
			t.Fatalf("rang %q", first)
		}
		m.stingy.Store(false)
		time.Sleep(time.Hour)
		if got, want := h.pushed(t), [][2]string{{first[0][0], "one"}}; !slices.Equal(got, want) {
			t.Errorf("then %q rang, want %q", got, want)
		}
	})
}

func TestMailThatIsNeverGivenRingsOnceAndIsAskedForABoundedNumberOfTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiser(cannot, "INBOX")
		h, stop := m.watched(t, "INBOX")
		defer stop()
		came := time.Now()
		m.deliver("INBOX", subject("one"), came)
		time.Sleep(time.Minute)
		if got := h.pushed(t); len(got) != 1 {
			t.Errorf("%d rang", len(got))
		}
		time.Sleep(71 * time.Hour)
		if got := h.pushed(t); len(got) > 0 {
			t.Errorf("then %d rang", len(got))
		}
		time.Sleep(48 * time.Hour)
		rang := 20 * time.Second
		want := []time.Duration{0, time.Second, 5 * time.Second, rang, rang + time.Minute, rang + 11*time.Minute}
		for at := 71 * time.Minute; at < 72*time.Hour; at += 6 * time.Hour {
			want = append(want, rang+at)
		}
		if got := m.askedAt(came); !slices.Equal(got, want) {
			t.Errorf("it was fetched after %v, want %v", got, want)
		}
	})
}

func TestMailWithoutWordsThatIsReadMeanwhileIsClearedAndNotRungAgain(t *testing.T) {
	t.Parallel()
	read := func(script *imaptest.Script) { script.Flag(1, `\Seen`) }
	for name, row := range map[string]struct {
		mute   bool
		change func(*imaptest.Script)
	}{
		"read":               {false, read},
		"read, and not told": {true, read},
		"removed":            {false, func(script *imaptest.Script) { script.Remove(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, scriptedAccount)
				h.from(t, 1)
				var stingy atomic.Bool
				stingy.Store(true)
				var fetches atomic.Int32
				script := &imaptest.Script{Mute: row.mute, Messages: []imaptest.Message{{UID: 1, Header: subject("one")}}, On: map[string]func(*imaptest.Talk, string){
					"UID FETCH": func(talk *imaptest.Talk, args string) {
						fetches.Add(1)
						if stingy.Load() {
							talk.Say("%s NO [SERVERBUG] cannot\r\n", talk.Tag)
							return
						}
						talk.Answer("UID FETCH", args)
					}}}
				defer h.live(t, script)()
				time.Sleep(30 * time.Second)
				if got := h.pushed(t); len(got) != 1 {
					t.Fatalf("%q rang", got)
				}
				row.change(script)
				stingy.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				before := fetches.Load()
				time.Sleep(4 * 24 * time.Hour)
				for _, got := range h.pushed(t) {
					t.Errorf("then %q rang", got)
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

func TestOwnMailThatRangWithoutWordsIsTakenAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiser(cannot, "INBOX")
		h, stop := m.watched(t, "INBOX")
		defer stop()
		m.deliver("INBOX", "From: anna@example.org\r\n"+subject("own"), time.Now())
		time.Sleep(time.Minute)
		m.stingy.Store(false)
		time.Sleep(time.Minute)
		if got := h.mails(t); len(got) != 1 || got[0].Cleared.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

func TestMailWhoseFetchEndsTheSessionIsNotAskedForAgainBeforeARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiser("* BYE Server shutting down.\r\n", "INBOX")
		h, stop := m.watched(t, "INBOX")
		came := time.Now()
		m.deliver("INBOX", subject("one"), came)
		time.Sleep(time.Hour)
		first := h.pushed(t)
		if len(first) != 1 || first[0][1] != "" {
			t.Fatalf("rang %q", first)
		}
		m.stingy.Store(false)
		fetches := len(m.askedAt(came))
		time.Sleep(48 * time.Hour)
		if n := len(m.askedAt(came)); n > fetches {
			t.Errorf("it was fetched %d more times", n-fetches)
		}
		stop()
		_, end := h.watch(t, Dialer{Permit: permitAll, dial: m.dial})
		time.Sleep(time.Minute)
		if got, want := h.pushed(t), [][2]string{{first[0][0], "one"}}; !slices.Equal(got, want) {
			t.Errorf("after a restart %q rang, want %q", got, want)
		}
		end()
		m.serving.Wait()
	})
}

func TestAskingForManyMailsWithoutWordsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiser(cannot, "INBOX", "B")
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
			t.Fatalf("%d rang", len(got))
		}
		most.Store(0)
		m.stingy.Store(false)
		time.Sleep(15 * time.Minute)
		if got := h.mails(t); slices.Contains(subjects(got), "") || most.Load() > 2*batch {
			t.Errorf("up to %d were fetched between two looks; %q", most.Load(), subjects(got))
		}
	})
}

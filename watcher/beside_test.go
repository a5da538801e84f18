package watcher

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/imaptest/servers"
)

func TestBeside(t *testing.T) {
	t.Parallel()
	t.Run("the session rings on meanwhile", ringsOn)
	t.Run("a Dovecot that takes one connection is asked over that of the session", oneConnection)
	t.Run("a host that takes no other connection is asked over that of the session", connectionLent)
	t.Run("a session that has lent its connection waits in its own folder", lentAndClosed)
	t.Run("a host that fails is not bothered with another connection", hostWithoutRoom)
	t.Run("a broken list of parts does not end the session", lentBrokenParts)
}

func ringsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("before"), Date: time.Now()}}}
		var came time.Time
		var asked atomic.Bool
		script.On = map[string]func(*imaptest.Talk, string){"UID FETCH": func(talk *imaptest.Talk, args string) {
			if strings.HasSuffix(args, "(UID INTERNALDATE)") && asked.Load() {
				came = time.Now()
				script.Deliver(imaptest.Message{Header: subject("meanwhile"), Date: came})
				time.Sleep(20 * time.Second)
			}
			talk.Answer("UID FETCH", args)
		}}
		h, pool, s, stop := pooled(t, script)
		defer stop()
		time.Sleep(time.Minute)
		asked.Store(true)
		h.recentOf(t, pool)
		got := h.mails(t)
		if len(got) != 1 || got[0].At.Sub(came) > time.Second || time.Since(came) < 20*time.Second || len(s.dials) != 2 {
			t.Errorf("of %v and %d connections: %+v", came, len(s.dials), got)
		}
	})
}

func oneConnection(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, "mail_max_userip_connections = 1")
	s.Deliver(t, s.User, "INBOX", mail("Ada <ada@example.org>", "one", "1"))
	s.Deliver(t, s.User, "Work", mail("Ada <ada@example.org>", "two", "2"))
	account := accountAt(s.Endpoint, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", "Work"}
	h := newHarness(t, account)
	pool, _ := h.watch(t, dialerTo(s.Endpoint))
	h.waitState(t, idlepush.StateWatching)
	connected := h.loggedIn(t)
	for range 3 {
		if lines, _ := h.recentOf(t, pool); !slices.Equal(slices.Sorted(slices.Values(lines)), []string{"one", "two"}) {
			t.Errorf("recent are %q", lines)
		}
	}
	s.Deliver(t, s.User, "INBOX", mail("bob@example.org", "after", ""))
	h.waitMails(t, 1)
	if again := h.loggedIn(t); !again.Equal(connected) {
		t.Errorf("the session of %v ended, another began at %v", connected, again)
	}
}

// loggedIn returns when the account's session logged in.
func (h *harness) loggedIn(t *testing.T) time.Time {
	t.Helper()
	a, err := h.store.Accounts.Get(h.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status.LoggedIn
}

func connectionLent(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"in IDLE": "", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logins, open := 0, ""
				script := &imaptest.Script{Caps: caps, On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, args string) {
					if logins++; logins > 1 {
						talk.Say("%s NO [LIMIT] Too many connections\r\n", talk.Tag)
						return
					}
					talk.Answer("LOGIN", args)
				}, "EXAMINE": func(talk *imaptest.Talk, args string) {
					open = args
					talk.Answer("EXAMINE", args)
				}, "IDLE": func(talk *imaptest.Talk, args string) {
					if open != "INBOX" {
						t.Errorf("it waits in %s", open)
					}
					talk.Answer("IDLE", args)
				}}}
				script.Messages = []imaptest.Message{{UID: 1, Header: subject("old"), Date: time.Now().AddDate(0, 0, -8)}, {UID: 2, Header: subject("before"), Date: time.Now().Add(-time.Hour)}}
				h, dialer, w := harnessAt(t, script, "INBOX", "Work")
				pool, stop := h.watch(t, dialer)
				defer w.serving.Wait()
				defer stop()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				for range 3 {
					if lines, _ := h.recentOf(t, pool); !slices.Equal(lines, []string{"before", "before duplicate INBOX"}) {
						t.Errorf("recent are %q", lines)
					}
				}
				script.Deliver(imaptest.Message{Header: subject("after"), Date: time.Now()})
				time.Sleep(time.Second)
				if caps != "" {
					time.Sleep(pollInterval)
				}
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"after"}) || logins != 4 {
					t.Errorf("after %d logins %q were notified", logins, got)
				}
				if a, err := h.store.Accounts.Get(h.account.ID); err != nil || a.Status.Code != "" || a.Status.State == idlepush.StateAttention {
					t.Errorf("the account is %+v, %v", a.Status, err)
				}
			})
		})
	}
}

// The folders cannot be opened just then: after that none is open.
func lentAndClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opens, refusing, open := 0, false, false
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, args string) {
			if opens++; refusing && opens == 2 {
				open = false
				talk.Say("%s NO [UNAVAILABLE] not now\r\n", talk.Tag)
				return
			}
			open = true
			talk.Answer("EXAMINE", args)
		}, "IDLE": func(talk *imaptest.Talk, args string) {
			if !open {
				t.Error("it waits in no folder")
			}
			talk.Answer("IDLE", args)
		}}}
		h, pool, _, stop := pooled(t, script)
		defer stop()
		time.Sleep(10 * time.Second)
		pool.host(&h.account).fail(time.Now(), false)
		opens, refusing = 0, true
		if f, ok := errors.AsType[*Failure](errOf(pool.Recent(t.Context(), h.account))); !ok || f.Code != "server_unavailable" {
			t.Errorf("%+v", f)
		}
		synctest.Wait()
		if opens != 3 {
			t.Errorf("it was opened %d times", opens)
		}
	})
}

// Mail that comes while the connection is lent is found at once after that.
func hostWithoutRoom(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"in IDLE": "", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{Caps: caps, Messages: []imaptest.Message{{UID: 1, Header: subject("before"), Date: time.Now().Add(-time.Hour)}}}
				came := false
				script.At = func(talk *imaptest.Talk, moment string) {
					if moment == "before UID FETCH" && came {
						came = false
						talk.Deliver(imaptest.Message{Header: subject("meanwhile"), Date: time.Now()})
					}
				}
				h, pool, s, stop := pooled(t, script)
				defer stop()
				time.Sleep(10 * time.Second)
				pool.host(&h.account).fail(time.Now(), false)
				came = true
				if lines, _ := h.recentOf(t, pool); lines[0] != "before" {
					t.Errorf("recent are %q", lines)
				}
				synctest.Wait()
				if got := subjects(h.mails(t)); !slices.Equal(got, []string{"meanwhile"}) || len(s.dials) != 1 {
					t.Errorf("after %d connections %q were notified", len(s.dials), got)
				}
			})
		})
	}
}

func lentBrokenParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: inParts.Header, Text: inParts.Text, Date: time.Now()}}}
		partsAre("* 1 FETCH (UID 1 BODYSTRUCTURE "+strings.Repeat("(", 40))(t, script)
		h, pool, s, stop := pooled(t, script)
		defer stop()
		time.Sleep(10 * time.Second)
		pool.host(&h.account).fail(time.Now(), false)
		if lines, _ := h.recentOf(t, pool); !slices.Equal(lines, []string{"tea at five"}) {
			t.Errorf("recent are %q", lines)
		}
		time.Sleep(time.Hour)
		if len(s.dials) != 1 {
			t.Errorf("there were %d connections", len(s.dials))
		}
	})
}

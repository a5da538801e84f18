package watcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestSupervise(t *testing.T) {
	t.Parallel()
	t.Run("the time in the queue is no time that a connection lived", timeInQueue)
	t.Run("an account whose state cannot be written is not logged in again at once", attentionNotStored)
	t.Run("a connection that got as far as a look is replaced at once after many that did not", confirmedConnection)
	t.Run("sessions that end within a minute after a look begin once a minute", shortSessions)
	t.Run("a failure of an account that was edited or removed meanwhile is not written", accountEdited)
	t.Run("an ALERT of the server is logged", serverAlert)
}

// newPool is one whose Run has begun, but for the sessions.
func newPool(h *harness) *Pool {
	p := &Pool{Store: h.store.Mail, Log: h.log, Dialer: Dialer{Permit: permitAll}}
	p.begin()
	return p
}

func timeInQueue(t *testing.T) {
	t.Parallel()
	script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, _ string) { talk.Bye("not today") }}}
	port := serve(t, script)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, idlepush.Account{Host: "127.0.0.1", Port: port, Security: idlepush.SecurityPlain, Username: "anna", Password: "p"})
		p := newPool(h)
		at := p.host(&h.account)
		for range maxConnecting {
			at.connecting <- struct{}{}
		}
		var running sync.WaitGroup
		running.Go(func() {
			s := p.newSupervisor(&h.account)
			s.session(t.Context())
			if end := s.end; end.err == nil || end.lived >= time.Minute || end.confirmed {
				t.Errorf("it ended as %+v", end)
			}
		})
		time.Sleep(10 * time.Minute)
		<-at.connecting
		running.Wait()
	})
}

func attentionNotStored(t *testing.T) {
	t.Parallel()
	var logins atomic.Int32
	script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
		logins.Add(1)
		talk.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", talk.Tag)
	}}}
	h := newHarness(t, idlepush.Account{Host: "127.0.0.1", Port: serve(t, script), Security: idlepush.SecurityPlain, Username: "anna", Password: "p"})
	h.store.Close() // as a full disk: nothing is written
	p := newPool(h)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(ended)
		p.supervise(ctx, &h.account)
	})
	defer running.Wait()
	defer cancel()
	testenv.Await(t, "it waits to try again", func() error {
		select {
		case <-ended:
			t.Fatal("it ended, and the next look at the accounts would begin it anew")
		default:
		}
		if !strings.Contains(h.logged.String(), "will be tried again") {
			return errors.New("the log does not say so")
		}
		return nil
	})
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func confirmedConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var holds atomic.Bool
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, args string) {
			if !holds.Load() {
				talk.Close()
				return
			}
			talk.Answer("EXAMINE", args)
		}}}
		h, _, s, stop := pooled(t, script)
		defer stop()
		time.Sleep(2 * time.Hour) // the wait is up to 15 min by now
		synctest.Wait()
		holds.Store(true)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		h.allWatching(t)
		tries := len(s.dials)
		lost := time.Now()
		script.Renumber() // ends the connection
		time.Sleep(time.Minute)
		synctest.Wait()
		// A second after a first failure's two, for the queue of a host that has failed.
		if len(s.dials) != tries+1 || s.dials[tries].Sub(lost) > 3*time.Second {
			t.Errorf("%d connections were lost at %v, then came %v", tries, lost, s.dials[tries:])
		}
		h.allWatching(t)
	})
}

// The account is edited or removed while its session fails: the failure is not written, and the
// store has not failed.
func accountEdited(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*harness) error{
		"edited": func(h *harness) error {
			a := h.account
			a.Password = "another-planted-password"
			_, err := h.store.Accounts.Update(a, time.Now().Add(time.Second))
			return err
		},
		"removed": func(h *harness) error { return h.store.Accounts.Remove(h.account.ID, time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := scriptedAccount
				a.Security = idlepush.SecurityPlain
				h := newHarness(t, a)
				logins := 0
				script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
					if logins++; logins == 1 {
						if err := change(h); err != nil {
							t.Error(err)
						}
					}
					talk.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", talk.Tag)
				}}}
				w := &memoryNet{servers: map[string]*server{"mail.example.org:993": {script: script}}}
				p := newPool(h)
				p.Dialer.Dial = w.dial
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				p.supervise(ctx, &h.account)
				w.serving.Wait()
				if took := time.Since(began); took > 0 || logins != 1 {
					t.Errorf("it ended after %v and %d logins", took, logins)
				}
				if strings.Contains(h.logged.String(), "cannot be written") {
					t.Error("the log says that the store failed")
				}
				if a, err := h.store.Accounts.Get(h.account.ID); err == nil && a.Status.State == idlepush.StateAttention {
					t.Errorf("the account that was edited is %+v", a.Status)
				}
			})
		})
	}
}

func serverAlert(t *testing.T) {
	t.Parallel()
	alert := "* OK [ALERT] planted-password: the mailbox moves on Friday\r\n"
	t.Run("in the log, of a login that succeeds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, _, _, stop := pooled(t, &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
				talk.Say("%s%s OK in\r\n", alert, talk.Tag)
			}}})
			defer stop()
			synctest.Wait()
			if !strings.Contains(h.logged.String(), "the mailbox moves on Friday") {
				t.Error("the log does not say it")
			}
		})
	})
	t.Run("to its owner, of one that fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, _, _, stop := pooled(t, &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
				talk.Say("%s%s NO [AUTHENTICATIONFAILED] no\r\n", alert, talk.Tag)
			}}})
			defer stop()
			synctest.Wait()
			a, err := h.store.Accounts.Get(h.account.ID)
			if err != nil || a.Status.State != idlepush.StateAttention || !strings.Contains(a.Status.Params[codes.Said], "the mailbox moves on Friday") ||
				strings.Contains(a.Status.Params[codes.Said], "planted") {
				t.Errorf("%+v, %v", a.Status, err)
			}
		})
	})
}

// shortSessions has a server that ends each connection some time after the look, and mail that
// comes at any moment.
func shortSessions(t *testing.T) {
	t.Parallel()
	for _, lives := range []time.Duration{time.Millisecond, 30 * time.Second} {
		t.Run(lives.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logins atomic.Int32
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, Beat: imaptest.Beat{Every: lives, Do: func(talk *imaptest.Talk, _ int) { talk.Bye("enough") }},
					At: func(_ *imaptest.Talk, moment string) {
						if moment == "before LOGIN" {
							logins.Add(1)
						}
					}}
				h, _, _, stop := pooled(t, script)
				defer stop()
				time.Sleep(10 * time.Minute)
				began, before := time.Now(), logins.Load()
				for n := range 100 {
					time.Sleep(71 * time.Second)
					sent := time.Now()
					script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: sent})
					time.Sleep(58 * time.Second)
					synctest.Wait()
					if got := h.mails(t); len(got) != n+1 {
						t.Fatalf("mail %d was not notified within 58 s", n)
					}
				}
				if n := int(logins.Load() - before); n > int(time.Since(began)/(pollInterval*3/4))+1 {
					t.Errorf("%d logins in %v", n, time.Since(began))
				}
			})
		})
	}
}

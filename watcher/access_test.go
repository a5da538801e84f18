package watcher

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

func TestAccess(t *testing.T) {
	t.Parallel()
	t.Run("all who want a token at once get it by one request", accessOnce)
	t.Run("a token that the store cannot keep opens nothing, and is not asked for again", accessUnsaved)
	t.Run("an answer that comes while the program ends, or a person edits the account, is not lost", accessInterrupted)
	t.Run("a token is renewed in time, and not with all others at once", accessRenewal)
	t.Run("what a person must do is said by the failure of a check", accessCheck)
	t.Run("a check of an account that was edited or removed meanwhile says so", accessStale)
	t.Run("an examination gets a token, and shows it to nobody else", accessExamined)
}

// provided is an account whose mailbox is opened by the tokens of a provider, all in a bubble.
type provided struct {
	*harness
	provider *oauthtest.Server
	script   *imaptest.Script
	net      *memoryNet
	dialer   Dialer
	denies   atomic.Bool // the mail server takes no token

	mu    sync.Mutex
	shown map[*imaptest.Talk]string // the token by which a client has logged in
	cut   int                       // connections that were cut because their token had expired
}

// newProvided is such an account at a server that cuts a connection whose token has expired.
// Transactions of the store fail with the error of fault, if it is not nil.
func newProvided(t *testing.T, rotation oauthtest.Rotation, fault func() error) *provided {
	t.Helper()
	p := &provided{provider: oauthtest.InMemory(t), shown: make(map[*imaptest.Talk]string)}
	p.provider.Register("idlepush", "")
	p.provider.Set(func(s *oauthtest.Settings) { s.Rotation = rotation })
	p.script = &imaptest.Script{Caps: "IMAP4rev1 IDLE AUTH=XOAUTH2 SASL-IR LOGINDISABLED", Reason: `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`,
		Messages: []imaptest.Message{{UID: 1, Header: subject("old")}}, Beat: imaptest.Beat{Every: time.Minute, Do: p.cutExpired}}
	var token string
	p.script.Opens = func(user, shown string) bool {
		token = shown
		return p.provider.Mailbox(shown) == user && !p.denies.Load()
	}
	p.script.On = map[string]func(*imaptest.Talk, string){"AUTHENTICATE": func(talk *imaptest.Talk, args string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		talk.Answer("AUTHENTICATE", args)
		p.shown[talk] = token
	}}
	p.net = &memoryNet{servers: map[string]*server{"mail.example.org:993": {script: p.script}}}
	p.dialer = Dialer{Permit: permitAll, Dial: p.net.dial, Client: func(string) (oauth.Client, bool) {
		client := p.provider.Client("idlepush")
		client.Provider.Hosts = []string{"mail.example.org"}
		return client, true
	}}
	a := scriptedAccount
	a.Security, a.OAuth, a.Password = idlepush.SecurityPlain, p.provider.Issuer, p.provider.Grant("idlepush", a.Username)
	p.harness = newFailingHarness(t, a, fault)
	p.trustIdle(t)
	return p
}

// cutExpired does what Gmail does.
func (p *provided) cutExpired(talk *imaptest.Talk, _ int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.provider.Counts()
	p.provider.Mailbox(p.shown[talk])
	if p.provider.Counts().Unknown > before.Unknown {
		p.cut++
		talk.Bye("Session expired, please login again.")
	}
}

// start watches the account, and returns once it has been watched for a minute.
func (p *provided) start(t *testing.T) (pool *Pool, stop func()) {
	t.Helper()
	pool, end := p.watch(t, p.dialer)
	p.pass(time.Minute)
	return pool, func() {
		end()
		p.net.serving.Wait()
	}
}

func (p *provided) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// send delivers a mail, and returns its subject.
func (p *provided) send(n int) string {
	words := fmt.Sprint("mail ", n)
	p.script.Deliver(imaptest.Message{Header: subject(words), Date: time.Now()})
	return words
}

// consent is a new one, as the page stores it.
func (p *provided) consent(t *testing.T) {
	t.Helper()
	a, err := p.store.Accounts.Get(p.account.ID)
	if err != nil {
		t.Fatal(err)
	}
	a.Password = p.provider.Grant("idlepush", a.Username)
	if p.account, err = p.store.Accounts.UpdateChecked(a, "", time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

// logins returns how often a client has connected.
func (p *provided) logins() int { return len(p.net.dialsOf(p.net.servers["mail.example.org:993"])) }

func accessOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		p.provider.Fail(oauthtest.TokenPath, oauthtest.Fault{Late: 3 * time.Second, Times: 1})
		pool, end := p.watch(t, p.dialer)
		var checks sync.WaitGroup
		for range 20 {
			checks.Go(func() {
				if _, err := pool.Check(t.Context(), p.account); err != nil {
					t.Errorf("a check: %v", err)
				}
			})
		}
		checks.Wait()
		p.pass(time.Minute)
		p.allWatching(t)
		end()
		p.net.serving.Wait()
		if got := p.provider.Counts(); got.Refreshes != 1 || got.Reused != 0 || got.Refused != 0 {
			t.Errorf("the provider counts %+v", got)
		}
	})
}

func accessUnsaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *provided
		var refreshes atomic.Int32
		full := errors.New("the disk is full")
		p = newProvided(t, oauthtest.Strict, func() error {
			// From the moment on at which the provider has replaced the token.
			if p != nil && p.provider != nil && refreshes.Load() > 0 && p.provider.Counts().Refreshes == int(refreshes.Load()) {
				return full
			}
			return nil
		})
		refreshes.Store(1)
		_, stop := p.start(t)
		defer stop()
		p.pass(20 * time.Minute)
		if got := p.provider.Counts(); got.Refreshes != 1 || got.Known != 0 || p.logins() != 0 {
			t.Errorf("while it cannot be stored the provider counts %+v, after %d connections", got, p.logins())
		}
		refreshes.Store(0)
		p.pass(16 * time.Minute)
		p.allWatching(t)
		if got := p.provider.Counts(); got.Refreshes != 1 || got.Reused != 0 {
			t.Errorf("after it was stored the provider counts %+v", got)
		}
		p.pass(24 * time.Hour)
		if got := p.provider.Counts(); got.Refreshes < 24 || got.Reused != 0 {
			t.Errorf("a day later the provider counts %+v", got)
		}
	})
}

func accessInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(t *testing.T, p *provided, stop func()){
		"the program ends": func(t *testing.T, p *provided, stop func()) {
			began := time.Now()
			if stop(); time.Since(began) > refreshGrace {
				t.Errorf("it took %v to end", time.Since(began))
			}
			p.provider.ClearFaults()
			p.start(t)
		},
		"a person edits folders": func(t *testing.T, p *provided, _ func()) {
			a := p.account
			a.Folders = []string{"INBOX", "Work"}
			if _, err := p.store.Accounts.Update(a, time.Now()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, oauthtest.Strict, nil)
				// The provider has replaced the token already, and its answer is on the way.
				slow := make(chan struct{})
				p.dialer.Client = slowly(p.dialer.Client, slow)
				_, end := p.watch(t, p.dialer)
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if got := p.provider.Counts(); got.Refreshes != 1 {
					t.Fatalf("the provider counts %+v", got)
				}
				time.AfterFunc(3*time.Second, func() { close(slow) })
				interrupt(t, p, func() { end(); p.net.serving.Wait() })
				p.pass(2 * time.Hour)
				p.allWatching(t)
				if got := p.provider.Counts(); got.Reused != 0 || got.Refreshes < 2 {
					t.Errorf("the provider counts %+v", got)
				}
			})
		})
	}
}

// slowly returns clients whose answers come only once slow is closed.
func slowly(of func(string) (oauth.Client, bool), slow <-chan struct{}) func(string) (oauth.Client, bool) {
	return func(provider string) (oauth.Client, bool) {
		client, ok := of(provider)
		to := client.HTTP.Transport
		client.HTTP.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			answer, err := to.RoundTrip(r)
			select {
			case <-slow:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return answer, err
		})
		return client, ok
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func accessRenewal(t *testing.T) {
	t.Parallel()
	now := time.Now().Round(0)
	for life, want := range map[time.Duration]time.Duration{time.Hour: 48 * time.Minute, 5 * time.Minute: 4 * time.Minute, 3 * time.Minute: 2 * time.Minute, time.Minute: 0, 0: 0, -time.Hour: 0} {
		seen := make(map[time.Time]bool)
		for range 50 {
			at := renewal(now.Add(life), now)
			if after := at.Sub(now); after > want || after < want*9/10-1 {
				t.Errorf("one of %v is renewed after %v", life, after)
			}
			seen[at] = true
		}
		if want > 0 && len(seen) < 40 {
			t.Errorf("those of %v are renewed at %d times", life, len(seen))
		}
	}
}

func accessCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before  func(*provided)
		code    codes.Code
		field   string
		refresh int // how many requests are granted
	}{
		"all is well":                  {func(*provided) {}, "", "", 1},
		"a consent that has ended":     {func(p *provided) { p.provider.Revoke("anna") }, "consent_ended", "consent", 0},
		"an unknown client":            {func(p *provided) { p.provider.Forget("idlepush") }, "client_refused", "", 0},
		"a provider that is down":      {func(p *provided) { p.provider.Fail(oauthtest.TokenPath, oauthtest.Fault{Drop: true}) }, "provider_unreachable", "", 0},
		"a server that takes no token": {func(p *provided) { p.denies.Store(true) }, "login_refused", "consent", 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, oauthtest.Strict, nil)
				c.before(p)
				pool := &Pool{Store: p.store.Mail, Dialer: p.dialer, Log: p.log}
				_, err := pool.Check(t.Context(), p.account)
				p.net.serving.Wait()
				f, _ := errors.AsType[*Failure](err)
				if codeOf(err) != c.code || f != nil && f.Field != c.field || err != nil && f == nil {
					t.Errorf("%v", err)
				}
				if got := p.provider.Counts(); got.Refreshes != c.refresh {
					t.Errorf("the provider counts %+v", got)
				}
			})
		})
	}
}

func accessStale(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(p *provided) error{
		"edited": func(p *provided) error {
			a := p.account
			a.Folders = []string{"INBOX", "Work"}
			_, err := p.store.Accounts.Update(a, time.Now().Add(time.Minute))
			return err
		},
		"removed": func(p *provided) error { return p.store.Accounts.Remove(p.account.ID, time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, oauthtest.Strict, nil)
				if err := change(p); err != nil {
					t.Fatal(err)
				}
				pool := &Pool{Store: p.store.Mail, Dialer: p.dialer, Log: p.log}
				if _, err := pool.Check(t.Context(), p.account); codeOf(err) != "account_changed" || !errors.Is(err, registry.ErrStale) {
					t.Errorf("a check: %v", err)
				}
				var list []idlepush.Step
				pool.Examine(t.Context(), p.account, 0, func(s idlepush.Step) { list = append(list, s) })
				p.net.serving.Wait()
				if got := steps(t, list); got[0] != "wrong account_changed" || !slices.Contains(got, "look examined_no_password") {
					t.Errorf("an examination tells %q", got)
				}
			})
		})
	}
}

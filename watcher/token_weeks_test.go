package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/testenv"
	"idlepush/watcher/oauth/oauthtest"
)

func TestTokenWeeks(t *testing.T) {
	t.Parallel()
	t.Run("tokens are renewed for weeks, and no session is cut", weeksOfTokens)
	t.Run("while a provider fails for hours no mail is lost and nobody is disturbed", weeksOfOutages)
	t.Run("a session goes on without a token as long as its server lets it", outageOfProviderOnly)
	t.Run("a consent that has ended is asked for, and then all mail rings", consentEnds)
	t.Run("a consent is not given up for one answer", consentDoubted)
	t.Run("a crash before a token is stored costs at most a new consent", tokenLost)
	t.Run("a token that a server refuses is replaced at once, and once", tokenReplaced)
	t.Run("a client that the provider does not know is the admin's to mend", clientUnknown)
	t.Run("when an admin sets a client, the mailboxes that wait for it are tried at once", clientSet)
	t.Run("a mailbox in attention is tried at once by the next start", attentionRestart)
}

// weeks are those that most tests pass.
func weeks() time.Duration {
	if testenv.Soak {
		return 28 * 24 * time.Hour
	}
	return 3 * 24 * time.Hour
}

// mails sends one mail after another for so long, and holds the account to ring each within limit.
// during is called before each with its number, and with -1 after the last.
func (p *provided) mails(t *testing.T, last, limit time.Duration, during func(n int)) {
	t.Helper()
	random := testenv.Rand(t)
	var sent []string
	at := make(map[string]time.Time)
	for begin := time.Now(); time.Since(begin) < last; {
		p.pass(time.Duration(random.Int64N(int64(3 * time.Hour))))
		during(len(sent))
		words := p.send(len(sent))
		sent, at[words] = append(sent, words), time.Now()
	}
	during(-1)
	p.pass(limit)
	got := p.harness.mails(t)
	if !slices.Equal(subjects(got), sent) {
		t.Errorf("%d of %d mails rang: %v", len(got), len(sent), missing(sent, subjects(got)))
	}
	for _, n := range got {
		if took := n.At.Sub(at[n.Content.Subject]); took > limit {
			t.Errorf("%s rang after %v", n.Content.Subject, took)
		}
	}
}

func weeksOfTokens(t *testing.T) {
	t.Parallel()
	for name, rotation := range map[string]oauthtest.Rotation{"as Google": oauthtest.Keep, "as Microsoft": oauthtest.Rolling, "strictly": oauthtest.Strict} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, rotation, nil)
				_, stop := p.start(t)
				p.mails(t, weeks(), time.Minute, func(int) {})
				p.allWatching(t)
				stop()
				got, hours := p.provider.Counts(), int(weeks().Hours())
				if got.Refreshes < hours || got.Refreshes > hours*3/2 || got.Refused+got.Reused+got.Unknown > 0 || p.cut > 0 {
					t.Errorf("in %d hours the provider counts %+v, and %d sessions were cut", hours, got, p.cut)
				}
				if n := p.logins(); n != got.Refreshes {
					t.Errorf("there were %d sessions for %d tokens", n, got.Refreshes)
				}
				if len(p.attentions(t)) > 0 || strings.Contains(p.logged.String(), "session ended") {
					t.Error("somebody was disturbed, or a session ended")
				}
			})
		})
	}
}

func weeksOfOutages(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]oauthtest.Fault{
		"an error":             {Status: 503},
		"an error page":        {Status: 502, Body: oauthtest.ErrorPage},
		"a page instead":       {Status: 200, Body: oauthtest.ErrorPage},
		"too many requests":    {Status: 429, Header: map[string][]string{"Retry-After": {"600"}}},
		"an unknown refusal":   {Status: 400, Body: `{"error":"temporarily_unavailable"}`},
		"no answer":            {Hang: true},
		"a lost connection":    {Drop: true},
		"an answer, cut short": {Status: 200, Body: `{"access_token":"`, Half: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, oauthtest.Strict, nil)
				_, stop := p.start(t)
				p.mails(t, weeks(), 6*time.Hour+maxTokenWait, func(n int) {
					if n >= 0 && n%4 < 2 {
						p.provider.Fail(oauthtest.TokenPath, fault)
					} else {
						p.provider.ClearFaults()
					}
				})
				p.allWatching(t)
				stop()
				if got := p.provider.Counts(); got.Reused > 0 || p.cut == 0 {
					t.Errorf("the provider counts %+v, and %d sessions were cut", got, p.cut)
				}
				if list := p.attentions(t); len(list) > 0 {
					t.Errorf("somebody is disturbed: %+v", list[0].Reason)
				}
			})
		})
	}
}

func outageOfProviderOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		p.script.Beat.Do = nil
		_, stop := p.start(t)
		defer stop()
		p.provider.Fail(oauthtest.TokenPath, oauthtest.Fault{Hang: true})
		p.mails(t, 24*time.Hour, 30*time.Second, func(int) {})
		p.allWatching(t)
		if n := p.logins(); n != 1 {
			t.Errorf("there were %d sessions", n)
		}
		asked := strings.Count(p.logged.String(), "no new access token; the session goes on")
		if asked < 24*2 || asked > 24*20 {
			t.Errorf("the provider was asked %d times in a day", asked)
		}
		p.provider.ClearFaults()
		p.pass(maxRetryWait + time.Minute)
		if n := p.logins(); n != 2 {
			t.Errorf("the provider is back, and there were %d sessions", n)
		}
	})
}

func consentEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		_, stop := p.start(t)
		defer stop()
		p.pass(3 * time.Hour)
		p.provider.Revoke("anna") // the server cuts the session within a minute
		for p.status(t).Retry.IsZero() {
			p.pass(time.Second)
		}
		if st := p.status(t); st.State != idlepush.StateRetrying || st.Code != "consent_ended" || len(p.attentions(t)) > 0 {
			t.Errorf("at first it is %+v", st)
		}
		p.pass(75 * time.Second)
		if st := p.status(t); st.State != idlepush.StateAttention || st.Code != "consent_ended" || st.Params["provider"] == "" {
			t.Errorf("then it is %+v", st)
		}
		var sent []string
		for day := range 10 {
			sent = append(sent, p.send(day))
			p.pass(24 * time.Hour)
		}
		list := p.attentions(t)
		if len(list) != 1 || list[0].Code != "consent_ended" {
			t.Errorf("somebody is told %+v", list)
		}
		before := p.provider.Counts()
		if before.Refused < 10 || before.Refused > 120 {
			t.Errorf("in ten days it asks %d times", before.Refused)
		}
		p.consent(t)
		p.pass(time.Minute)
		p.allWatching(t)
		if got := subjects(p.harness.mails(t)); !slices.Equal(got, sent) {
			t.Errorf("%q rang, want %q", got, sent)
		}
		p.pass(24 * time.Hour)
		if got := p.provider.Counts(); got.Refused != before.Refused || got.Reused > 0 {
			t.Errorf("after a new consent the provider counts %+v, before %+v", got, before)
		}
	})
}

func consentDoubted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		_, stop := p.start(t)
		p.mails(t, 2*24*time.Hour, 3*time.Minute, func(n int) {
			if n < 0 {
				return
			}
			p.provider.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`, Times: 1})
			p.pass(3 * time.Hour)
		})
		p.allWatching(t)
		stop()
		if list := p.attentions(t); len(list) > 0 || !strings.Contains(p.logged.String(), "status=consent_ended") {
			t.Errorf("somebody is told: %+v", list)
		}
	})
}

func tokenLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rotation oauthtest.Rotation
		state    idlepush.State
		reused   int
	}{"as Google": {oauthtest.Keep, idlepush.StateWatching, 0}, "as Microsoft": {oauthtest.Rolling, idlepush.StateWatching, 1}, "strictly": {oauthtest.Strict, idlepush.StateAttention, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, c.rotation, nil)
				// The provider has replaced the token, and the program does not learn of it.
				p.provider.Fail(oauthtest.TokenPath, oauthtest.Fault{Served: true, Drop: true, Times: 1})
				_, stop := p.start(t)
				defer stop()
				p.pass(10 * time.Minute)
				st, got := p.status(t), p.provider.Counts()
				if st.State != c.state || got.Reused != c.reused {
					t.Fatalf("it is %+v, and the provider counts %+v", st, got)
				}
				p.consent(t)
				p.pass(24 * time.Hour)
				p.allWatching(t)
				if now := p.provider.Counts(); now.Reused != got.Reused {
					t.Errorf("after a new consent the provider counts %+v", now)
				}
			})
		})
	}
}

func tokenReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		pool, stop := p.start(t)
		defer stop()
		p.provider.EndAccess("anna") // it cuts the session, too
		p.pass(2 * time.Minute)
		p.allWatching(t)
		if got := p.provider.Counts(); got.Refreshes != 2 || p.logins() != 3 || len(p.attentions(t)) > 0 {
			t.Errorf("after %d sessions the provider counts %+v", p.logins(), got)
		}
		p.denies.Store(true)
		p.provider.EndAccess("anna")
		p.pass(2 * time.Minute)
		st, got := p.status(t), p.provider.Counts()
		if st.State != idlepush.StateAttention || st.Code != "login_refused" || st.Params[codes.Case] != byToken || st.Params[codes.Said] == "" {
			t.Errorf("it is %+v", st)
		}
		if list := p.attentions(t); len(list) != 1 || got.Refreshes > 5 {
			t.Errorf("%d are told, and the provider counts %+v", len(list), got)
		}
		for time.Until(p.status(t).Retry) < time.Hour {
			p.pass(time.Minute)
		}
		p.denies.Store(false)
		pool.AskNow()
		p.pass(time.Minute)
		p.allWatching(t)
	})
}

func clientUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		_, stop := p.start(t)
		defer stop()
		p.provider.Forget("idlepush")
		p.pass(2 * 24 * time.Hour)
		if st := p.status(t); st.State != idlepush.StateAttention || st.Code != "client_refused" || len(p.attentions(t)) != 1 {
			t.Errorf("it is %+v", st)
		}
		p.provider.Register("idlepush", "")
		p.pass(personWait + time.Minute)
		p.allWatching(t)
	})
}

func clientSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		pool, stop := p.start(t)
		defer stop()
		p.provider.Forget("idlepush")
		p.pass(2 * time.Hour)
		for time.Until(p.status(t).Retry) < 5*time.Minute {
			p.pass(time.Minute)
		}
		p.provider.Register("idlepush", "")
		pool.AskProvider("another")
		p.pass(time.Minute)
		if st := p.status(t); st.Code != "client_refused" {
			t.Errorf("for a client of another provider it is tried again: %+v", st)
		}
		pool.AskProvider(p.account.OAuth)
		p.pass(time.Second)
		p.allWatching(t)
	})
}

func attentionRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvided(t, oauthtest.Strict, nil)
		_, stop := p.start(t)
		p.provider.Fail(oauthtest.TokenPath, oauthtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
		for p.status(t).State != idlepush.StateAttention || time.Until(p.status(t).Retry) < time.Hour {
			p.pass(time.Minute)
		}
		stop()
		p.provider.ClearFaults()
		_, stop = p.start(t)
		defer stop()
		p.allWatching(t)
		if n := len(p.attentions(t)); n != 1 {
			t.Errorf("%d are told: %s", n, fmt.Sprint(p.attentions(t)))
		}
	})
}

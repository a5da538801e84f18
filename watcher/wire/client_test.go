package wire

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/watcher/imaptest"
)

func TestWithClient(t *testing.T) {
	t.Parallel()
	t.Run("a password may look like a command", passwordLikeCommand)
	t.Run("AUTHENTICATE takes any number of steps, and can be tried again", authenticateInSteps)
	t.Run("cancelling ends it while no command runs", cancelWithoutCommand)
	t.Run("it waits for answers that its function did not wait for", waitsForAnswers)
	t.Run("a STATUS response is an answer only if STATUS was sent", statusOnlyIfAsked)
	t.Run("it asks for the capabilities after a login", capabilitiesAfterLogin)
}

func passwordLikeCommand(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LITERAL+", "IMAP4rev1 LITERAL-"} {
		for _, password := range []string{"T2 ü", "T2 LOGOUT\r\nü", "ü\r\nT2 NOOP", "ü {3}", "T1 ü\r\n", strings.Repeat("ü", 5000)} {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{Caps: caps}
				got := ""
				script.On = map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, args string) {
					got = args
					talk.Say("+ nobody asked\r\n")
					talk.OK("in")
				}}
				c, stop := pipe(t, script, DefaultLimits, nil)
				defer stop()
				if err := c.Greet(testTimeout); err != nil {
					t.Fatal(err)
				}
				err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
					return errors.Join(client.Login("alice", password).Wait(), client.Noop().Wait(), client.Noop().Wait())
				})
				if err != nil {
					t.Errorf("%s, %.20q: %v", caps, password, err)
				}
				if !strings.Contains(got, password) {
					t.Errorf("%s, %.20q: got %.60q", caps, password, got)
				}
			})
		}
	}
}

// steps is a SASL mechanism that returns each challenge as its answer.
type steps struct{ first []byte }

func (s steps) Start() (string, []byte, error) { return "XSTEPS", s.first, nil }

func (s steps) Next(challenge []byte) ([]byte, error) { return challenge, nil }

func authenticateInSteps(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 SASL-IR"} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			script := &imaptest.Script{Caps: caps}
			script.On = map[string]func(*imaptest.Talk, string){
				"AUTHENTICATE": func(talk *imaptest.Talk, args string) {
					if tries++; tries == 1 {
						talk.Say("%s NO [AUTHENTICATIONFAILED] at once\r\n", talk.Tag)
						return
					}
					if !strings.Contains(args, " ") {
						talk.Say("+ \r\n")
						talk.Line()
					}
					for range 3 {
						talk.Say("+ YWdhaW4=\r\n")
						if answer := talk.Line(); answer != "YWdhaW4=" {
							t.Errorf("answered %q", answer)
						}
					}
					talk.OK("in")
				},
				"NOOP": func(talk *imaptest.Talk, _ string) {
					talk.Say("+ nobody asked\r\n")
					talk.OK("done")
				},
			}
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			if err := c.Greet(testTimeout); err != nil {
				t.Fatal(err)
			}
			err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
				refused, ok := errors.AsType[*imap.Error](client.Authenticate(steps{[]byte("first")}))
				if !ok || refused.Code != imap.ResponseCodeAuthenticationFailed {
					t.Errorf("refused with %v", refused)
				}
				return errors.Join(client.Noop().Wait(), client.Authenticate(steps{[]byte("first")}), client.Noop().Wait())
			})
			if err != nil || c.Dropped() != 2 {
				t.Errorf("%s: %v, dropped %d", caps, err, c.Dropped())
			}
		})
	}
}

func capabilitiesAfterLogin(t *testing.T) {
	t.Parallel()
	// imapclient asks too, sometimes in time.
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{Caps: "IMAP4rev1 XBEFORE"}
			script.At = func(_ *imaptest.Talk, moment string) {
				if moment == "before LOGIN" {
					script.Caps = "IMAP4rev1 XAFTER"
				}
			}
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			if err := c.Greet(testTimeout); err != nil || !c.Has("XBEFORE") {
				t.Fatalf("%v, %v", err, c.Caps())
			}
			err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
				if state := client.State(); state != imap.ConnStateNotAuthenticated {
					t.Errorf("before the login: %v", state)
				}
				return client.Login("alice", "secret").Wait()
			})
			if err != nil || c.Has("XBEFORE") || !c.Has("XAFTER") {
				t.Errorf("%v, %v", err, c.Caps())
			}
			err = c.WithClient(testTimeout, func(client *imapclient.Client) error {
				if state := client.State(); state != imap.ConnStateAuthenticated {
					t.Errorf("after the login: %v", state)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Nothing is in flight while f thinks, so that nothing reads.
func cancelWithoutCommand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		script := &imaptest.Script{}
		var wg sync.WaitGroup
		c := New(ctx, script.Pipe(&wg), DefaultLimits)
		if err := c.Greet(testTimeout); err != nil {
			t.Fatal(err)
		}
		err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
			cancel()
			<-client.Closed()
			return client.Noop().Wait()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with client: %v", err)
		}
		if _, err := c.Idle(testRefresh, testTimeout, IdleDelays{}); !errors.Is(err, context.Canceled) {
			t.Errorf("idle afterwards: %v", err)
		}
		c.Close()
		wg.Wait()
	})
}

func waitsForAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		early := errors.New("changed my mind")
		for range 20 {
			var kept *imapclient.Client
			err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
				kept = client
				for range 10 {
					client.Status("INBOX", &imap.StatusOptions{UIDNext: true})
				}
				return early
			})
			if !errors.Is(err, early) || c.Cause() != nil {
				t.Fatalf("%v, cause %v", err, c.Cause())
			}
			if err := kept.Noop().Wait(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a command after WithClient: %v", err)
			}
		}
		if news := c.News(); news.Status != 0 {
			t.Errorf("an answer to STATUS was taken for news: %+v", news)
		}
		if err := f.look(); err != nil || len(f.got) != 1 {
			t.Errorf("afterwards: %v, got %v", err, f.got)
		}
	})
}

func statusOnlyIfAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		script.At = func(talk *imaptest.Talk, moment string) {
			if moment == "within UID SEARCH" {
				talk.Say("* STATUS other (MESSAGES 5 UIDNEXT 6)\r\n* 1 FETCH (FLAGS (\\Seen))\r\n")
			}
		}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		if err := f.look(); err != nil {
			t.Fatal(err)
		}
		if got, want := c.News(), (News{Status: 1, Flags: 1}); got != want {
			t.Errorf("SEARCH: news %+v, want %+v", got, want)
		}
		c.Forget()
		if got, want := c.News(), (News{Status: 1}); got != want {
			t.Errorf("of other folders it is forgotten with them: %+v", got)
		}
		c.ForgetOthers(false)
		err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
			data, err := client.Status("INBOX", &imap.StatusOptions{UIDNext: true}).Wait()
			if err == nil && data.UIDNext != 2 {
				t.Errorf("UIDNEXT %d", data.UIDNext)
			}
			_, err2 := client.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{UIDNext: true}}).Collect()
			return errors.Join(err, err2)
		})
		if err != nil || c.News() != (News{}) {
			t.Errorf("STATUS: %v, news %+v", err, c.News())
		}
	})
}

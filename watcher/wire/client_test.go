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

func TestAPasswordMayLookLikeACommand(t *testing.T) {
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

func (s steps) Start() (string, []byte, error)        { return "XSTEPS", s.first, nil }
func (s steps) Next(challenge []byte) ([]byte, error) { return challenge, nil }

func TestAUTHENTICATETakesAsManyStepsAsItWantsAndCanBeTriedAgain(t *testing.T) {
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

// watched counts who waits for its end.
type watched struct {
	context.Context
	mu      sync.Mutex
	waiting int
}

// Done is not that of the context within, or the context package would go past AfterFunc.
func (w *watched) Done() <-chan struct{} { return make(chan struct{}) }

func (w *watched) AfterFunc(func()) func() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waiting--
		return true
	}
}

func TestAClosedConnectionHangsOnNothing(t *testing.T) {
	t.Parallel()
	ctx := &watched{Context: context.Background()}
	client, server := net.Pipe()
	c := New(ctx, client, DefaultLimits)
	if ctx.waiting != 1 {
		t.Fatalf("%d wait for the context", ctx.waiting)
	}
	c.Close()
	if ctx.waiting != 0 {
		t.Errorf("%d still wait for the context", ctx.waiting)
	}
	if _, err := server.Write([]byte("x")); err == nil {
		t.Error("the connection is open")
	}
	for name, err := range map[string]error{
		"greet": c.Greet(testTimeout), "do": c.Do("NOOP", testTimeout), "with client": c.WithClient(testTimeout, func(*imapclient.Client) error { return nil }),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Close()
}

package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imaptest"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	t.Run("what is sent is what the mechanism demands, line by line", authenticateLines)
	t.Run("it ends with a server that asks on, says BYE or nothing", authenticateHostile)
	t.Run("the capabilities after it are those of the login", authenticateCaps)
}

// authenticating connects to a script that answers AUTHENTICATE by on, and sends it.
func authenticating(t *testing.T, caps string, closing []byte, on func(talk *imaptest.Talk, args string)) (c *Conn, challenge []byte, err error) {
	t.Helper()
	script := &imaptest.Script{Caps: caps, On: map[string]func(*imaptest.Talk, string){"AUTHENTICATE": on}}
	c, stop := pipe(t, script, DefaultLimits, nil)
	t.Cleanup(stop)
	if err := c.Greet(testTimeout); err != nil {
		t.Fatal(err)
	}
	challenge, err = c.Authenticate("XTEST", []byte("a message"), closing, testTimeout)
	return c, challenge, err
}

func authenticateLines(t *testing.T) {
	t.Parallel()
	const message = "YSBtZXNzYWdl"
	for name, c := range map[string]struct {
		closing   []byte
		says      string // what the server says once it has the message
		sent      string // what the client sends then; "-": nothing
		challenge string
		code      imap.ResponseCode // of the refusal
	}{
		"taken":                         {says: "OK", sent: "-"},
		"refused at once":               {says: "NO", sent: "-", code: imap.ResponseCodeAuthenticationFailed},
		"refused, and closed by a line": {says: "+ eyJzdGF0dXMiOiI0MDAifQ==", sent: "", challenge: `{"status":"400"}`, code: imap.ResponseCodeAuthenticationFailed},
		"refused, and closed by 0x01":   {closing: []byte{1}, says: "+ eyJzdGF0dXMiOiI0MDAifQ==", sent: "AQ==", challenge: `{"status":"400"}`, code: imap.ResponseCodeAuthenticationFailed},
		"refused, without a reason":     {says: "+ ", sent: "", code: imap.ResponseCodeAuthenticationFailed},
		"refused, in other words":       {says: "+ no, not you", sent: "", code: imap.ResponseCodeAuthenticationFailed},
	} {
		for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 SASL-IR"} {
			t.Run(name+", "+caps, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					want := []string{"XTEST", message}
					if strings.HasSuffix(caps, "SASL-IR") {
						want = []string{"XTEST " + message}
					}
					var lines []string
					conn, challenge, err := authenticating(t, caps, c.closing, func(talk *imaptest.Talk, args string) {
						lines = append(lines, args)
						talk.Say("* OK nobody asked\r\n")
						if len(want) == 2 {
							talk.Say("+ \r\n")
							lines = append(lines, talk.Line())
						}
						if strings.HasPrefix(c.says, "+") {
							talk.Say("%s\r\n", c.says)
							lines = append(lines, talk.Line())
						}
						if c.says == "OK" {
							talk.OK("in")
							return
						}
						talk.Say("%s NO [AUTHENTICATIONFAILED] no\r\n", talk.Tag)
					})
					if c.sent != "-" {
						want = append(want, c.sent)
					}
					if !slices.Equal(lines, want) {
						t.Errorf("it sent %q, want %q", lines, want)
					}
					said, _ := errors.AsType[*imap.Error](err)
					if string(challenge) != c.challenge || (said != nil) != (c.code != "") || said != nil && said.Code != c.code {
						t.Errorf("challenge %q, %v", challenge, err)
					}
					if err := conn.Do("NOOP", testTimeout); err != nil {
						t.Errorf("the connection no longer works: %v", err)
					}
				})
			})
		}
	}
}

func authenticateHostile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on   func(*imaptest.Talk)
		want func(error) bool
	}{
		"asks on": {func(talk *imaptest.Talk) {
			for range 10 {
				talk.Say("+ bW9yZQ==\r\n")
				talk.Line()
			}
		}, is[*ProtocolError]},
		"says BYE":     {func(talk *imaptest.Talk) { talk.Bye("not you") }, is[*ByeError]},
		"says nothing": {func(talk *imaptest.Talk) { talk.Silence() }, is[*TimeoutError]},
		"answers what was not sent": {func(talk *imaptest.Talk) {
			talk.Say("X9 OK in\r\n")
			talk.Silence()
		}, is[*ProtocolError]},
		"asks in a line without end": {func(talk *imaptest.Talk) {
			for talk.Say("+ %s", strings.Repeat("YSBt", 1<<12)) {
			}
		}, is[*LimitError]},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				conn, _, err := authenticating(t, "IMAP4rev1", nil, func(talk *imaptest.Talk, _ string) { c.on(talk) })
				if !c.want(err) || conn.Cause() == nil || strings.Contains(err.Error(), "message") || time.Since(began) > testTimeout {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func authenticateCaps(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"in", "[CAPABILITY IMAP4rev1 XAFTER] in"} {
		synctest.Test(t, func(t *testing.T) {
			var script *imaptest.Script
			script = &imaptest.Script{Caps: "IMAP4rev1 XBEFORE SASL-IR", On: map[string]func(*imaptest.Talk, string){"AUTHENTICATE": func(talk *imaptest.Talk, _ string) {
				script.Caps = "IMAP4rev1 XAFTER"
				talk.OK(said)
			}}}
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			if err := c.Greet(testTimeout); err != nil || !c.Has("XBEFORE") {
				t.Fatalf("%v, %v", err, c.Caps())
			}
			if _, err := c.Authenticate("XTEST", []byte("a message"), nil, testTimeout); err != nil || c.Has("XBEFORE") || !c.Has("XAFTER") || !c.isLoggedIn() {
				t.Errorf("%v, %v", err, c.Caps())
			}
		})
	}
}

package wire

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imaptest"
)

func TestHostileServer(t *testing.T) {
	t.Parallel()
	t.Run("it ends a session with a typed error or not at all", typedErrorOrNone)
	t.Run("an answer to FETCH that cannot be read does not end the connection", unreadableFetch)
	t.Run("an answer to SEARCH that would hide mail or never end is dropped and counted", endlessSearch)
	t.Run("odd lines between answers are dropped, and hide no mail", oddLines)
	t.Run("the capabilities are the last list sent", lastCapabilities)
	t.Run("texts of the server are clean in errors", cleanTexts)
}

// ends is how a session ends that looks three times, by the name of the hostility. The first
// pattern that fits counts. Without one the session works.
var ends = []struct{ pattern, kind string }{
	{"bye-*", "bye"},
	{"close-*", "closed"},
	{"silent-*", "timeout"},
	{"half-*", "timeout"},
	{"done-for-done", "timeout"},
	{"flood-ok-greeting", "limit exchange"}, // its first line is a greeting
	{"flood-*-greeting", "protocol"},
	{"flood-*", "limit exchange"},
	{"endless-*", "limit line"},
	{"deep-parentheses", "limit line"},
	{"deep-parentheses-many-lines", "limit depth"},
	{"huge-literal", "limit literal"},
	{"overflowing-literal", "limit literal"},
	{"many-literals", "limit response"},
	{"double-*", "protocol"},
	{"unknown-tag", "protocol"},
	{"junk-line", "protocol"},
	{"tagged-text", "protocol"},
	{"http", "protocol"},
	{"not-imap", "protocol"},
	{"malformed-fetch-31", "protocol"}, // "{3} " is no literal, and what follows it no response
	{"no-idle", "refused BAD "},
	{"idle-no", "refused NO INUSE"},
	{"done-no", "refused NO "},
	{"examine-no", "refused NO NONEXISTENT"},
	{"search-no", "refused NO SERVERBUG"},
	{"fetch-no", "refused NO SERVERBUG"},
	{"login-no", "refused NO AUTHENTICATIONFAILED"},
	{"login-bye-then-no", "refused NO AUTHENTICATIONFAILED"},
}

// kindOf names an error by its type.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*LimitError](err); ok {
		return "limit " + e.Limit
	}
	if e, ok := errors.AsType[*imap.Error](err); ok {
		return fmt.Sprintf("refused %s %s", e.Type, e.Code)
	}
	if _, ok := errors.AsType[*ByeError](err); ok {
		return "bye"
	}
	if _, ok := errors.AsType[*TimeoutError](err); ok {
		return "timeout"
	}
	if _, ok := errors.AsType[*ProtocolError](err); ok {
		return "protocol"
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "closed"
	}
	return err.Error()
}

func expected(name string) string {
	for _, e := range ends {
		if ok, _ := path.Match(e.pattern, name); ok {
			return e.kind
		}
	}
	return ""
}

func typedErrorOrNone(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits
	limits.Exchange = 1 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // the default; .ci/test collects less often
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, name := range slices.Sorted(maps.Keys(imaptest.Hostile)) {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			imaptest.Hostile[name](script)
			began := time.Now()
			c, stop := pipe(t, script, limits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			err := f.run(100, 3)
			if got, want := kindOf(err), expected(name); got != want {
				t.Errorf("%s: ended with %q (%v), want %q", name, got, err, want)
			}
			if took, longest := time.Since(began), 2*testRefresh+testTimeout; took > longest {
				t.Errorf("%s: took %v, longer than %v", name, took, longest)
			}
			if cause := c.Cause(); err == nil && cause != nil {
				t.Errorf("%s: the session works and the connection is over: %v", name, cause)
			}
		})
	}
	runtime.ReadMemStats(&after)
	// What was ever taken from the system for them all, one after the other.
	if grown := (after.Sys - before.Sys) >> 20; grown > 64 {
		t.Errorf("the memory grew by %d MiB", grown)
	}
}

func unreadableFetch(t *testing.T) {
	t.Parallel()
	for name, change := range imaptest.Hostile {
		if !strings.HasPrefix(name, "malformed-fetch-") && !strings.HasPrefix(name, "open-") || expected(name) != "" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			change(script)
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.run(100, 2); err != nil || len(f.got)+f.missing != 1 {
				t.Errorf("%s: %v, got %v, missing %d", name, err, f.got, f.missing)
			}
		})
	}
}

func endlessSearch(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"huge-range", "last-uid", "unsorted-search"} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			imaptest.Hostile[name](script)
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.run(1, 1); err != nil || c.Dropped() == 0 {
				t.Errorf("%s: %v, dropped %d", name, err, c.Dropped())
			}
			err := c.Run(testTimeout, Examine("INBOX", new(imap.SelectData)))
			if err != nil || c.Dropped() != 0 {
				t.Errorf("%s: the next command: %v, dropped %d", name, err, c.Dropped())
			}
		})
	}
}

func oddLines(t *testing.T) {
	t.Parallel()
	for name, change := range imaptest.Hostile {
		if !strings.HasPrefix(name, "odd-") {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}, {UID: 2}}}
			change(script)
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.run(2, 1); err != nil || len(f.got) != 2 {
				t.Errorf("%s: %v, got %v", name, err, f.got)
			}
		})
	}
}

func lastCapabilities(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"caps-space": "ID", "caps-refused": "IMAP4rev1", "greeting-no-caps": "IDLE", "login-caps": "XNEW", "login-broken-code": "IDLE",
		"many-caps": "XSOMETHING-OR-OTHER", "login-disabled": "LOGINDISABLED", "preauth": "IDLE",
	} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			imaptest.Hostile[name](script)
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.login(); err != nil || !c.Has(imap.Cap(want)) {
				t.Errorf("%s: %v, no %s in %v", name, err, want, c.Caps())
			}
			if name == "login-caps" && c.Has("ID") {
				t.Error("a capability from before the login is still there")
			}
		})
	}
}

func cleanTexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{}
		imaptest.Hostile["login-alert"](script)
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		if got, want := c.Alert(), "quota [31mnearly full"; got != want {
			t.Errorf("alert %q, want %q", got, want)
		}
	})
	for _, text := range []string{"a\r\n\x00\x1b\u202eb\u2028c", strings.Repeat("ü", 500), "\xff\xfe" + strings.Repeat("x", 1<<20), strings.Repeat(" ", 300)} {
		clean := Clean(text)
		if len(clean) > 200 || strings.ToValidUTF8(clean, "") != clean || strings.ContainsAny(clean, "\r\n\x00\x1b\u202e\u2028\ufffd") {
			t.Errorf("%.20q became %q", text, clean)
		}
	}
}

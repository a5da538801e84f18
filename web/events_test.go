package web

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

// stream is an open stream of events.
type stream struct {
	t     testing.TB
	res   *http.Response
	lines *bufio.Scanner
	last  Event // that next has returned
}

// listen opens a stream, with the token or, if that is empty, with the cookie.
func (h *testServer) listen(token string, cookie *http.Cookie) *stream {
	h.t.Helper()
	r := h.request(token, "GET", "/events", nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	res, err := h.via.RoundTrip(r)
	fatal(h.t, err)
	h.t.Cleanup(func() { res.Body.Close() })
	s := &stream{t: h.t, res: res, lines: bufio.NewScanner(res.Body)}
	if res.StatusCode != 200 {
		return s
	}
	if res.Header.Get("Content-Type") != "text/event-stream" || !s.lines.Scan() || s.lines.Text() != ": listening" {
		h.t.Fatalf("it is no stream: %v, %q", res.Header, s.lines.Text())
	}
	return s
}

// next returns the next event that differs from the last, or false if the stream has ended. A
// change of several rows may be reported several times, unless all of them come before the stream
// is read.
func (s *stream) next() (kind, id string, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			var e Event
			fatal(s.t, json.Unmarshal([]byte(data), &e))
			if e != s.last {
				s.last = e
				return e.Kind, e.ID, true
			}
		}
	}
	return "", "", false
}

func TestEvents(t *testing.T) {
	t.Parallel()
	t.Run("only a logged-in user gets a stream", eventsNeedLogin)
	t.Run("a stream has the changes that its user may see, and no others", eventsOfVisibleChanges)
	t.Run("a stream ends with its session and with the server", eventsEndWithSession)
	t.Run("one user opens a bounded number of streams", eventsStreamsBounded)
	t.Run("a silent stream sends keepalives", eventsKeepalive)
}

func eventsNeedLogin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for token, want := range map[string]int{"": 401, h.anna.device: 403, adminToken: 403, h.anna.full: 200} {
		if got := h.listen(token, nil).res.StatusCode; got != want {
			t.Errorf("it is %d, want %d", got, want)
		}
	}
	if got := h.listen("", h.logIn("Ben")).res.StatusCode; got != 200 {
		t.Errorf("with a session it is %d", got)
	}
}

func eventsOfVisibleChanges(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	annas, bens := h.listen(h.anna.full, nil), h.listen(h.ben.full, nil)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	device := h.call(h.ben.full, "POST", "/devices", fcmDevice(), 201).id()
	if kind, id, _ := annas.next(); kind != "account" || id != account {
		t.Errorf("Anna heard of %s %s", kind, id)
	}
	if kind, id, _ := bens.next(); kind != "device" || id != device {
		t.Errorf("Ben heard of %s %s", kind, id)
	}
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2},
		Mails: []registry.Message{{UID: 1, Content: idlepush.Content{From: "Oma", Subject: "Kuchen"}}}, At: time.Now()})
	fatal(t, err)
	if kind, id, _ := annas.next(); kind != "notification" || id != registry.StableID(account, "INBOX", 1, 1) {
		t.Errorf("Anna heard of %s %s", kind, id)
	}
}

func eventsEndWithSession(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	cookie := h.logIn("Anna")
	ended, other := h.listen("", cookie), h.listen(h.anna.full, nil)
	r := h.request("", "DELETE", "/login", nil)
	r.AddCookie(cookie)
	if a := h.send(r); a.status != 204 {
		t.Fatal(a.raw)
	}
	if kind, id, ok := ended.next(); ok {
		t.Errorf("after logging out it heard of %s %s", kind, id)
	}
	if kind, _, _ := other.next(); kind != "session" {
		t.Errorf("the other stream heard of %s", kind)
	}
	close(h.stop)
	if kind, id, ok := other.next(); ok {
		t.Errorf("while the server stops it heard of %s %s", kind, id)
	}
}

func eventsStreamsBounded(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	var open []*stream
	const most = 10
	for range most {
		open = append(open, h.listen(h.anna.full, nil))
	}
	h.call(h.anna.full, "GET", "/events", nil, 429)
	h.listen(h.ben.full, nil)
	close(h.stop)
	for _, s := range open {
		s.next()
	}
	h.handlers.events.streams.mu.Lock()
	defer h.handlers.events.streams.mu.Unlock()
	if n := h.handlers.events.streams.count[h.anna.id]; n > most {
		t.Errorf("%d are counted", n)
	}
}

// A proxy ends a stream that is silent for a minute.
func eventsKeepalive(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	synctest.Test(t, func(t *testing.T) {
		r := h.request(h.anna.full, "GET", "/events", nil).WithContext(t.Context())
		w := &beats{header: http.Header{}}
		l := h.store.History.Listen(h.anna.id)
		defer l.Stop()
		stop := make(chan struct{})
		s := &eventHandlers{history: h.store.History, guard: newGuard(Config{Logins: h.store.Logins}), stopping: stop}
		var streaming sync.WaitGroup
		streaming.Go(func() { s.stream(r, w, l) })
		time.Sleep(4 * time.Minute)
		close(stop)
		streaming.Wait()
		if beat := "event: alive\ndata:\n\n"; w.last != beat {
			t.Errorf("a keepalive is %q, want %q, which a page can hear", w.last, beat)
		}
		if w.flushed != 10 {
			t.Errorf("%d keepalives in four minutes, want 10: at once, and every 25 s", w.flushed)
		}
	})
}

// beats counts writes.
type beats struct {
	header  http.Header
	flushed int
	last    string
}

func (b *beats) Header() http.Header { return b.header }
func (b *beats) WriteHeader(int)     {}
func (b *beats) Flush()              { b.flushed++ }

func (b *beats) Write(p []byte) (int, error) {
	b.last = string(p)
	return len(p), nil
}

package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"idlepush/registry/testenv"
)

// object is a JSON object.
type object = map[string]any

// wire is a connection of WebDriver BiDi.
type wire struct {
	conn    *websocket.Conn
	reading sync.WaitGroup

	mu      sync.Mutex
	last    int // id of a command
	waiting map[int]chan answer
	over    error    // why no answer comes any more
	errors  []string // of pages
}

// answer is what comes back to a command, or an event.
type answer struct {
	ID      int
	Type    string // success, error, event
	Result  json.RawMessage
	Error   string // a code, such as "no such frame"
	Message string

	Method string
	Params struct {
		Level, Text, Type string
		Source            struct{ Context string }
		StackTrace        struct {
			CallFrames []struct {
				URL        string
				LineNumber int
			}
		}
	}
}

// failure is a command that the browser refused.
type failure struct{ method, code, message string }

// Error implements error.
func (f *failure) Error() string { return fmt.Sprintf("%s: %s: %s", f.method, f.code, f.message) }

func dial(t testing.TB, address string) *wire {
	t.Helper()
	conn, _, err := websocket.Dial(testenv.Context(t), address, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1) // screenshots
	w := &wire{conn: conn, waiting: make(map[int]chan answer)}
	w.reading.Go(w.read)
	return w
}

// read hands every answer to its call until the connection ends.
func (w *wire) read() {
	for {
		_, text, err := w.conn.Read(context.Background())
		var a answer
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		w.mu.Lock()
		switch {
		case err != nil:
			w.over = fmt.Errorf("the browser has hung up: %w", err)
			for _, waits := range w.waiting {
				close(waits)
			}
			clear(w.waiting)
		case a.Type == "event":
			w.note(a)
		case w.waiting[a.ID] != nil:
			w.waiting[a.ID] <- a
			delete(w.waiting, a.ID)
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// note keeps what a page complains of.
func (w *wire) note(a answer) {
	if a.Method != "log.entryAdded" || a.Params.Level != "error" {
		return
	}
	at := ""
	if frames := a.Params.StackTrace.CallFrames; len(frames) > 0 {
		at = fmt.Sprintf(" (%s:%d)", frames[0].URL, frames[0].LineNumber+1)
	}
	w.errors = append(w.errors, a.Params.Text+at)
}

// call makes one command and reads its result into out, unless that is nil.
func (w *wire) call(ctx context.Context, method string, params, out any) error {
	answered := make(chan answer, 1)
	w.mu.Lock()
	if w.over != nil {
		defer w.mu.Unlock()
		return fmt.Errorf("%s: %w", method, w.over)
	}
	w.last++
	id := w.last
	w.waiting[id] = answered
	w.mu.Unlock()
	text, err := json.Marshal(object{"id": id, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if err := w.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a, open := <-answered:
		switch {
		case !open:
			return fmt.Errorf("%s: the browser has hung up", method)
		case a.Type == "error":
			return &failure{method, a.Error, a.Message}
		case out == nil:
			return nil
		}
		return json.Unmarshal(a.Result, out)
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, id)
		return fmt.Errorf("%s: no answer: %w", method, ctx.Err())
	}
}

func (w *wire) close() {
	w.conn.CloseNow()
	w.reading.Wait()
}

// moved reports whether a command failed because the page it was for has been left meanwhile.
func moved(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.code != "invalid argument" && f.code != "unknown command"
}

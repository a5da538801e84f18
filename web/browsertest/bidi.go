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

// conn is a WebDriver BiDi connection.
type conn struct {
	socket  *websocket.Conn
	reading sync.WaitGroup

	mu      sync.Mutex
	last    int // id of the last command
	waiting map[int]chan message
	closed  error    // the reason, once the connection has ended
	errors  []string // of pages
}

// message is an answer to a command, or an event.
type message struct {
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

// commandError reports that the browser refused a command.
type commandError struct{ method, code, message string }

// Error implements error.
func (e *commandError) Error() string { return fmt.Sprintf("%s: %s: %s", e.method, e.code, e.message) }

// dial connects to a browser.
func dial(t testing.TB, address string) *conn {
	t.Helper()
	socket, _, err := websocket.Dial(testenv.Context(t), address, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		t.Fatal(err)
	}
	socket.SetReadLimit(-1) // screenshots are large
	c := &conn{socket: socket, waiting: make(map[int]chan message)}
	c.reading.Go(c.read)
	return c
}

// read passes every answer to its call until the connection ends.
func (c *conn) read() {
	for {
		_, text, err := c.socket.Read(context.Background())
		var m message
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		c.mu.Lock()
		switch {
		case err != nil:
			c.closed = fmt.Errorf("the browser closed the connection: %w", err)
			for _, waits := range c.waiting {
				close(waits)
			}
			clear(c.waiting)
		case m.Type == "event":
			c.keepError(m)
		case c.waiting[m.ID] != nil:
			c.waiting[m.ID] <- m
			delete(c.waiting, m.ID)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// keepError keeps the error of a page, if the event reports one.
func (c *conn) keepError(event message) {
	if event.Method != "log.entryAdded" || event.Params.Level != "error" {
		return
	}
	at := ""
	if frames := event.Params.StackTrace.CallFrames; len(frames) > 0 {
		at = fmt.Sprintf(" (%s:%d)", frames[0].URL, frames[0].LineNumber+1)
	}
	c.errors = append(c.errors, event.Params.Text+at)
}

// call runs one command and decodes its result into out, unless that is nil. It waits until ctx
// ends.
func (c *conn) call(ctx context.Context, method string, params, out any) error {
	answered := make(chan message, 1)
	c.mu.Lock()
	if c.closed != nil {
		defer c.mu.Unlock()
		return fmt.Errorf("%s: %w", method, c.closed)
	}
	c.last++
	id := c.last
	c.waiting[id] = answered
	c.mu.Unlock()
	text, err := json.Marshal(object{"id": id, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if err := c.socket.Write(ctx, websocket.MessageText, text); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m, open := <-answered:
		switch {
		case !open:
			return fmt.Errorf("%s: the browser closed the connection", method)
		case m.Type == "error":
			return &commandError{method, m.Error, m.Message}
		case out == nil:
			return nil
		}
		return json.Unmarshal(m.Result, out)
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, id)
		return fmt.Errorf("%s: no answer: %w", method, ctx.Err())
	}
}

func (c *conn) close() {
	c.socket.CloseNow()
	c.reading.Wait()
}

// isPageGone reports whether a command failed because its page was left meanwhile.
func isPageGone(err error) bool {
	var e *commandError
	return errors.As(err, &e) && e.code != "invalid argument" && e.code != "unknown command"
}

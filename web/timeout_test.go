package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

// pipes is a listener whose connections are in memory, for use in a synctest bubble.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// inBubble serves the handler of a new server over pipes, with the timeouts of the program.
func inBubble(t *testing.T, config func(*Config), play func(h *testServer, dial func() net.Conn)) {
	h := newTestServer(t)
	synctest.Test(t, func(t *testing.T) {
		c := h.config()
		config(&c)
		listener := pipes{make(chan net.Conn)}
		server := &http.Server{Handler: New(c), ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute}
		var serving sync.WaitGroup
		serving.Go(func() { server.Serve(listener) })
		play(h, func() net.Conn {
			ours, theirs := net.Pipe()
			listener.conns <- theirs
			return ours
		})
		close(listener.conns)
		server.Close()
		serving.Wait()
	})
}

// ask sends a request over its own connection and returns status and body.
func ask(t *testing.T, conn net.Conn, r *http.Request) (int, string) {
	defer conn.Close()
	fatal(t, r.Write(conn))
	res, err := http.ReadResponse(bufio.NewReader(conn), r)
	fatal(t, err)
	body, err := io.ReadAll(res.Body)
	fatal(t, err)
	return res.StatusCode, string(body)
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	t.Run("a login takes at most 30 s", timeoutOfLogin)
	t.Run("a client that is gone is no server error", timeoutClientGone)
	t.Run("a proving push takes at most 10 s", timeoutOfProvingPush)
	t.Run("a body takes at most 10 s", timeoutOfBody)
	t.Run("a write to a stream takes at most 10 s", timeoutOfStream)
}

func timeoutOfLogin(t *testing.T) {
	t.Parallel()
	var ended time.Duration
	hang := func(ctx context.Context, _ idlepush.Account) (Check, error) {
		start := time.Now()
		<-ctx.Done()
		ended = time.Since(start)
		return Check{}, fmt.Errorf("log in: %w", ctx.Err())
	}
	inBubble(t, func(c *Config) { c.Mail.Check = hang }, func(h *testServer, dial func() net.Conn) {
		status, body := ask(t, dial(), h.request(h.anna.full, "POST", "/accounts/check", mailbox()))
		if status != 422 || ended != 30*time.Second || !strings.Contains(body, `"timeout"`) {
			t.Errorf("%d after %v: %s", status, ended, body)
		}
	})
}

func timeoutClientGone(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _ idlepush.Account) (Check, error) {
		<-ctx.Done()
		return Check{}, ctx.Err()
	}
	inBubble(t, func(c *Config) { c.Mail.Check = hang }, func(h *testServer, dial func() net.Conn) {
		conn := dial()
		fatal(t, h.request(h.anna.full, "POST", "/accounts/check", mailbox()).Write(conn))
		synctest.Wait()
		start := time.Now()
		conn.Close()
		synctest.Wait()
		if text := h.log.String(); time.Since(start) != 0 || !strings.Contains(text, "status=408") || strings.Contains(text, "level=ERROR") {
			t.Errorf("after %v the log is %s", time.Since(start), text)
		}
	})
}

func timeoutOfProvingPush(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _ idlepush.Device) registry.Outcome {
		<-ctx.Done()
		return registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "webpush_timeout"}}
	}
	inBubble(t, func(c *Config) { c.Push.Prove = hang }, func(h *testServer, dial func() net.Conn) {
		start := time.Now()
		status, body := ask(t, dial(), h.request(h.anna.full, "POST", "/devices", fcmDevice()))
		if status != 201 || !strings.Contains(body, `"unproven"`) || time.Since(start) != 10*time.Second {
			t.Errorf("%d after %v: %s", status, time.Since(start), body)
		}
	})
}

func timeoutOfBody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(*Config) {}, func(h *testServer, dial func() net.Conn) {
		start := time.Now()
		conn := dial()
		defer conn.Close()
		fmt.Fprintf(conn, "PATCH %s/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", prefix, h.anna.full)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		fatal(t, err)
		if res.StatusCode != 408 || time.Since(start) != 10*time.Second {
			t.Errorf("%d after %v", res.StatusCode, time.Since(start))
		}
	})
}

func timeoutOfStream(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *Config) { c.Stopping = nil }, func(h *testServer, dial func() net.Conn) {
		conn := dial()
		defer conn.Close()
		fatal(t, h.request(h.anna.full, "GET", "/events", nil).Write(conn))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		fatal(t, err)
		if res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
		ended := func() bool {
			synctest.Wait()
			return strings.Contains(h.log.String(), "path=/api/v1/events")
		}
		// The first keepalive is stuck.
		time.Sleep(25*time.Second + 10*time.Second - time.Millisecond)
		if ended() {
			t.Error("it has ended before")
		}
		time.Sleep(time.Millisecond)
		if !ended() {
			t.Error("it is still open")
		}
	})
}

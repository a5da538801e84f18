package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/cmd/idlepush/api"
	"idlepush/netguard"
	"idlepush/push/pushtest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imapmem"
)

// BenchmarkMailToPush measures the time from APPEND at the mail server to the push at the push
// service, through the whole daemon. The ratio compares it with the minimum: imapclient in IDLE,
// one FETCH of the same headers and one POST. That stores and encrypts nothing. In both, the server
// reports new mail up to 10 ms late.
func BenchmarkMailToPush(b *testing.B) {
	bare := medianOf(b, bareLine)
	b.Run("idlepush", func(b *testing.B) {
		times := line(b, b.N)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(median(times).Microseconds())/1000, "ms/mail")
		b.ReportMetric(float64(slices.Max(times).Microseconds())/1000, "ms/slowest-mail")
		b.ReportMetric(float64(median(times))/float64(bare), "x-bare-imapclient")
	})
}

const benchMail = "From: someone@example.org\r\nSubject: bench\r\nMessage-ID: <%d@example.org>\r\n\r\nhello\r\n"

func medianOf(b *testing.B, f func(*testing.B, int) []time.Duration) time.Duration {
	return median(f(b, 100))
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// mailServer serves a mailbox until the benchmark ends.
func mailServer(b *testing.B) (*imapmem.Server, net.Addr) {
	b.Helper()
	mailbox, err := imapmem.New("anna", "secret", nil)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	background(b, func(ctx context.Context) error { return mailbox.Serve(ctx, l) })
	return mailbox, l.Addr()
}

// background runs f until the benchmark ends.
func background(b *testing.B, f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f(ctx); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// rounds appends n mails, each after the one before has arrived, and measures each.
func rounds(b *testing.B, mailbox *imapmem.Server, arrived <-chan time.Time, n int) []time.Duration {
	b.Helper()
	ctx := testenv.Context(b)
	times := make([]time.Duration, n)
	for i := range n {
		began := time.Now()
		if _, err := mailbox.Append("INBOX", fmt.Appendf(nil, benchMail, i)); err != nil {
			b.Fatal(err)
		}
		select {
		case at := <-arrived:
			times[i] = at.Sub(began)
		case <-ctx.Done():
			b.Fatalf("mail %d did not arrive", i)
		}
	}
	return times
}

func line(b *testing.B, n int) []time.Duration {
	b.Helper()
	mailbox, at := mailServer(b)
	arrived := make(chan time.Time, 16)
	service := pushtest.NewWebPush()
	service.Received = func(m pushtest.WebPushMessage) {
		if strings.Contains(string(m.Body), "bench") {
			arrived <- m.At
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	background(b, func(ctx context.Context) error { return pushtest.Serve(ctx, l, service) })
	dir := b.TempDir()
	s := settings{listen: "127.0.0.1:0", data: dir, allowMail: netguard.At(at), allowPush: netguard.At(l.Addr())}
	serving := make(chan net.Addr, 1)
	background(b, func(ctx context.Context) error {
		return serve(ctx, s, slog.New(slog.DiscardHandler), func(a net.Addr) { serving <- a })
	})
	c := &api.Client{Base: "http://" + (<-serving).String() + "/api/v1"}
	token, err := os.ReadFile(filepath.Join(dir, "setup-token"))
	if err != nil {
		b.Fatal(err)
	}
	var made struct{ Token string }
	post := func(path string, in, out any) {
		if err := c.Post(b.Context(), path, in, out); err != nil {
			b.Fatal(err)
		}
	}
	post("/setup", object{"token": strings.TrimSpace(string(token)), "name": "anna", "password": "a long password"}, &made)
	c.Token = made.Token
	post("/accounts", object{"email": "a@example.org", "host": "127.0.0.1", "port": at.(*net.TCPAddr).Port, "security": "none", "username": "anna", "password": "secret"}, nil)
	sub, err := service.Subscribe("http://"+l.Addr().String(), "")
	if err != nil {
		b.Fatal(err)
	}
	post("/devices", object{"name": "phone", "transport": "webpush", "subscription": object{"endpoint": string(sub.Endpoint), "keys": api.Keys(sub.Keys)}}, nil)
	if err := (&demonstration{}).awaitWatching(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	return rounds(b, mailbox, arrived, n)
}

// bareLine measures the minimum: no store, no encryption.
func bareLine(b *testing.B, n int) []time.Duration {
	b.Helper()
	mailbox, at := mailServer(b)
	arrived := make(chan time.Time, 16)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	background(b, func(ctx context.Context) error {
		return pushtest.Serve(ctx, l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			arrived <- time.Now()
		}))
	})
	exists := make(chan uint32, 64)
	client, err := imapclient.DialInsecure(at.String(), &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				exists <- *m.NumMessages
			}
		}}})
	if err != nil {
		b.Fatal(err)
	}
	if err := client.Login("anna", "secret").Wait(); err != nil {
		b.Fatal(err)
	}
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		b.Fatal(err)
	}
	ready := make(chan struct{})
	background(b, func(ctx context.Context) error {
		return bareLoop(ctx, client, exists, ready, "http://"+l.Addr().String())
	})
	<-ready
	return rounds(b, mailbox, arrived, n)
}

func bareLoop(ctx context.Context, client *imapclient.Client, exists <-chan uint32, ready chan<- struct{}, service string) error {
	defer client.Close()
	headers := &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true, Specifier: imap.PartSpecifierHeader,
		HeaderFields: []string{"From", "Subject"}}}}
	close(ready)
	for {
		idle, err := client.Idle()
		if err != nil {
			return err
		}
		var number uint32
		select {
		case number = <-exists:
		case <-ctx.Done():
			return nil
		}
		if err := idle.Close(); err != nil {
			return err
		}
		if err := idle.Wait(); err != nil {
			return err
		}
		found, err := client.Fetch(imap.SeqSetNum(number), headers).Collect()
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%d mails, %w", len(found), err)
		}
		resp, err := http.Post(service, "text/plain", strings.NewReader("new mail"))
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
}

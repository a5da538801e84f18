package webpush_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/push/webpush"
	"idlepush/registry/testenv"
)

func TestNetwork(t *testing.T) {
	t.Run("a message is retried after any failure of the network", networkBroken)
	t.Run("a cancelled send is retried", networkCancelled)
	t.Run("the rest of a long answer is not read", networkLong)
	t.Run("an answer that is not HTTP is retried", networkNoHTTP)
	t.Run("if the clock seems to be wrong, the outcome says so", networkClock)
}

func networkClock(t *testing.T) {
	for code, valid := range sendertest.WrongClocks {
		url, roots := sendertest.ServeOtherClock(t, valid)
		c := config(t)
		c.Roots = roots
		sender, device := webpush.New(c), pointedAt(t, url)
		if o := sender.Send(t.Context(), device, message()); code == "clock_ahead" {
			// This server may be somebody's own, whose certificate was not renewed.
			expect(t, o, retry, "webpush_certificate", device)
			if said := sentence(o); !strings.Contains(said, "check this server's clock") {
				t.Errorf("it says: %s", said)
			}
		} else {
			sendertest.ExpectClock(t, o, code)
		}
		undo := webpush.Know("127.0.0.1")
		sendertest.ExpectClock(t, sender.Send(t.Context(), device, message()), code)
		undo()
	}
}

func networkBroken(t *testing.T) {
	s := serve(t)
	sender := webpush.New(config(t))

	refusing := pointedAt(t, fmt.Sprint("http://127.0.0.1:", testenv.Port(t)))
	expect(t, sender.Send(t.Context(), refusing, message()), retry, "webpush_refused", refusing)

	nameless := pointedAt(t, "https://push.example.org")
	expect(t, sender.Send(t.Context(), nameless, message()), retry, "webpush_endpoint_not_allowed", nameless)

	// It does not trust the test's root certificate.
	expect(t, sender.Send(t.Context(), s.device, message()), retry, "webpush_certificate", s.device)

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	confused := pointedAt(t, strings.Replace(plain.URL, "http://", "https://", 1))
	expect(t, sender.Send(t.Context(), confused, message()), retry, "webpush_no_tls", confused)

	s.Fail("", pushtest.Fault{Drop: true, Accepted: true, Times: 1})
	expect(t, s.sender.Send(t.Context(), s.device, message()), retry, "webpush_unreachable", s.device)
	expect(t, s.sender.Send(t.Context(), s.device, message()), delivered, "", s.device)
	if got := s.Messages(); len(got) != 2 || got[0].Topic != got[1].Topic {
		t.Errorf("an answer that got lost: %d messages, want two of one topic", len(got))
	}
}

func networkCancelled(t *testing.T) {
	s := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expect(t, s.sender.Send(ctx, s.device, message()), retry, "webpush_canceled", s.device)

	s.Fail("", pushtest.Fault{Hang: true})
	ctx, cancel = context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { expect(t, s.sender.Send(ctx, s.device, message()), retry, "webpush_canceled", s.device) })
	testenv.Await(t, "the request is there", func() error {
		if s.Requests() == 0 {
			return errors.New("no request")
		}
		return nil
	})
	cancel()
	wg.Wait()

	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	expect(t, s.sender.Send(ctx, s.device, message()), retry, "webpush_timeout", s.device)
}

func networkLong(t *testing.T) {
	written := make(chan int, 1)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		chunk, total := make([]byte, 64<<10), 0
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			total += n
			if err != nil {
				break
			}
		}
		written <- total
	}))
	defer endless.Close()
	device := pointedAt(t, endless.URL)
	expect(t, webpush.New(config(t)).Send(t.Context(), device, message()), retry, "webpush_unavailable", device)
	if total := <-written; total > 64<<20 { // what the kernel's buffers took
		t.Errorf("%d bytes of an answer went out", total)
	}
}

func networkNoHTTP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer listener.Close()
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			conn.Write([]byte("220 mail.example.org ESMTP\r\n"))
			conn.Close()
		}
	})
	device := pointedAt(t, "http://"+listener.Addr().String())
	expect(t, webpush.New(config(t)).Send(t.Context(), device, message()), retry, "webpush_unreachable", device)
}

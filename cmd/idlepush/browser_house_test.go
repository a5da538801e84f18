package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"idlepush/push/pushtest/mozilla"
	"idlepush/web/browsertest"
)

// origin is where a browser finds the page: on loopback, where it needs no TLS.
func (s *street) origin() string { return "http://" + s.address }

// setupLink is what the log tells the newcomer to open.
func (s *street) setupLink(t *testing.T) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "data", "setup-token"))
	s.must(t, err)
	return s.origin() + "/#/setup/" + strings.TrimSpace(string(token))
}

// pushService is a Mozilla push service, and a Firefox that knows no other.
func pushService(t *testing.T) (*mozilla.Service, *browsertest.Browser) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := mozilla.New()
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := service.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
		for _, v := range service.Violations() {
			t.Errorf("Mozilla would not have taken it: %s", v)
		}
		for _, a := range service.Acks() {
			if a.Code != 100 {
				t.Errorf("Firefox could not make use of a push: %d", a.Code)
			}
		}
	})
	return service, browsertest.Firefox(t, object{"dom.push.serverURL": "ws://" + ln.Addr().String() + "/"})
}

// say calls the API as the person who is logged in on the page.
func (s *street) say(t *testing.T, p *browsertest.Page, method, path string, in, out any) {
	t.Helper()
	p.Eval(t, out, `async (method, path, body) => {
		const r = await fetch("/api/v1" + path, { method, headers: { "Content-Type": "application/json" }, body: body === null ? undefined : JSON.stringify(body) });
		if (!r.ok) throw new Error(method + " " + path + ": " + r.status + " " + await r.text());
		return r.status === 204 ? null : r.json();
	}`, method, path, in)
}

// enter fills in who the newcomer is.
func enter(t *testing.T, p *browsertest.Page, button, name, password string) {
	t.Helper()
	p.Type(t, "Name", name)
	p.Type(t, "Password", password)
	p.Click(t, button)
}

func (s *street) port() string { return strconv.Itoa(s.mail.TLSPort) }

// addMailbox fills in the street's mailbox, whose settings nobody can find.
func (s *street) addMailbox(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Type(t, "Email address", "anna@example.org")
	p.Type(t, "Its password", s.mail.Password)
	if !p.Has(t, "Mail server (IMAP)") {
		p.Click(t, "Server settings")
	}
	p.Type(t, "Mail server (IMAP)", "localhost")
	p.Type(t, "Port", s.port())
	p.Type(t, "User name", s.mail.User)
	p.Click(t, "Continue")
	p.Click(t, "Watch this mailbox")
}

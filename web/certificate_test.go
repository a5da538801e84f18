package web

import (
	"strings"
	"testing"
	"time"

	"idlepush"
)

func TestCertificate(t *testing.T) {
	t.Parallel()
	t.Run("one that is not trusted is shown, and accepted by its fingerprint", certificateAccepted)
	t.Run("it changes as the host does, with the password", certificateChange)
	t.Run("what is no fingerprint is refused without a login", certificateMalformed)
	t.Run("who adds a mailbox by a certificate of their own gets no part in it", certificateOfAnother)
}

var (
	ownCertificate   = idlepush.Fingerprint(strings.Repeat("0A:", 31) + "0A")
	otherCertificate = idlepush.Fingerprint(strings.Repeat("0B:", 31) + "0B")
)

// show has the mail server show the certificate, which only its pin makes trusted.
func (h *testServer) show(fingerprint idlepush.Fingerprint) {
	h.set(func() {
		h.untrusted = func(a idlepush.Account) error {
			if a.Pin == fingerprint {
				return nil
			}
			zone := time.FixedZone("", 3600)
			return &CheckError{Field: "host", Reason: idlepush.Reason{Code: "certificate_untrusted"}, Certificate: &idlepush.Certificate{Fingerprint: fingerprint,
				Subject: "CN=nas", From: time.Date(2026, 1, 2, 0, 0, 0, 0, zone), Until: time.Date(2027, 1, 2, 0, 0, 0, 0, zone), Issuer: "CN=home"}}
		}
	})
}

// shownCertificate is the certificate of show in an answer.
func shownCertificate(fingerprint idlepush.Fingerprint) string {
	return `certificate":{"fingerprint":"` + string(fingerprint) +
		`","subject":"CN=nas","names":[],"valid_from":"2026-01-01T23:00:00Z","valid_until":"2027-01-01T23:00:00Z","issuer":"CN=home"}`
}

func certificateAccepted(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.show(ownCertificate)
	for _, c := range []struct {
		path   string
		status int
	}{{"/accounts/check", 200}, {"/accounts", 201}} {
		path, status := c.path, c.status
		a := h.call(h.anna.full, "POST", path, mailbox(), 422)
		a.wantFields(t, "host")
		if a.body["code"] != "certificate_untrusted" || !strings.Contains(a.raw, `"`+shownCertificate(ownCertificate)) {
			t.Errorf("%s shows %s", path, a.raw)
		}
		if h.accounts() != 0 {
			t.Errorf("%s stores an account", path)
		}
		a = h.call(h.anna.full, "POST", path, mailbox().with("certificate", ownCertificate), status)
		if status == 201 && a.body["certificate"] != string(ownCertificate) {
			t.Errorf("the account is %s", a.raw)
		}
		a = h.call(h.anna.full, "POST", path, mailbox().with("certificate", ownCertificate).with("password", wrong), 422)
		if a.wantFields(t, "password"); a.body["certificate"] != nil {
			t.Errorf("a wrong password shows a certificate: %s", a.raw)
		}
	}
}

func certificateChange(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.show(ownCertificate)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox().with("certificate", ownCertificate), 201).id()
	at := "/accounts/" + id
	pinned := func() idlepush.Fingerprint {
		a, err := h.store.Accounts.Get(id)
		fatal(t, err)
		return a.Pin
	}
	h.show(otherCertificate)
	for _, value := range []idlepush.Fingerprint{otherCertificate, ""} {
		h.call(h.anna.full, "PATCH", at, object{"certificate": value}, 422).wantFields(t, "password")
		h.call(adminToken, "PATCH", at, object{"certificate": value}, 422).wantFields(t, "password")
	}
	h.call(h.anna.full, "PATCH", at, object{"certificate": otherCertificate, "password": wrong}, 422).wantFields(t, "password")
	if a := h.call(h.anna.full, "PATCH", at, object{"password": password}, 422); a.body["certificate"].(map[string]any)["fingerprint"] != string(otherCertificate) {
		t.Errorf("with the old certificate: %s", a.raw)
	}
	if pinned() != ownCertificate {
		t.Errorf("a refused change was stored: %s", pinned())
	}
	a := h.call(h.anna.full, "PATCH", at, object{"certificate": otherCertificate, "password": password}, 200)
	if pinned() != otherCertificate || a.body["certificate"] != string(otherCertificate) || a.state() != "new" {
		t.Errorf("it is %s", a.raw)
	}
	h.call(h.anna.full, "PATCH", at, object{"certificate": otherCertificate, "port": 143, "security": "starttls", "password": password}, 200)
	h.set(func() { h.untrusted = nil })
	h.call(h.anna.full, "PATCH", at, object{"port": 993, "security": "tls", "password": password}, 200)
	if pinned() != otherCertificate {
		t.Error("the same host at another port lost its certificate")
	}
	for _, edit := range []object{{"host": "mail.example.net"}, {"security": "none"}, {"certificate": ""}} {
		h.call(h.anna.full, "PATCH", at, edit.with("password", password), 200)
		if pinned() != "" {
			t.Errorf("after %v the certificate is still trusted", edit)
		}
		h.call(h.anna.full, "PATCH", at, object{"security": "tls", "certificate": otherCertificate, "password": password}, 200)
	}
}

func certificateMalformed(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for _, value := range []string{"x", string(ownCertificate[3:]), strings.ToLower(string(ownCertificate)), strings.ReplaceAll(string(ownCertificate), ":", "")} {
		for _, path := range []string{"/accounts/check", "/accounts"} {
			h.call(h.anna.full, "POST", path, mailbox().with("certificate", value), 422).wantFields(t, "certificate")
		}
	}
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("certificate", ownCertificate).with("security", "none"), 422).wantFields(t, "certificate")
	if h.tried != 0 {
		t.Errorf("%d logins", h.tried)
	}
}

func certificateOfAnother(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	h.show(ownCertificate)
	if a := h.call(h.ben.full, "POST", "/accounts", mailbox().with("certificate", ownCertificate), 409); a.body["code"] != "taken" {
		t.Errorf("it says %s", a.raw)
	}
	h.call(h.ben.full, "GET", "/accounts/"+id, nil, 404)
}

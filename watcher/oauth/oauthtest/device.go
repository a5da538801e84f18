package oauthtest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// deviceCode is a consent by device code that was begun.
type deviceCode struct {
	client   string
	user     string // the code that the person enters
	expires  time.Time
	interval time.Duration
	asked    time.Time
	grant    *grant // nil: the person has not consented yet
	declined bool
}

// serveDevice is the device authorization endpoint (RFC 8628 section 3.1).
func (s *Server) serveDevice(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, refused := s.authenticate(r)
	if refused != nil {
		refused.write(w)
		return
	}
	user := rand.Text()[:8]
	d := &deviceCode{client: client, user: user[:4] + "-" + user[4:], expires: s.now().Add(s.settings.DeviceLife), interval: s.settings.Interval, asked: s.now()}
	code := secret()
	s.devices[code] = d
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.user, "verification_uri": s.Issuer + EnterPath, "verification_uri_complete": s.Issuer + EnterPath + "?code=" + d.user,
		"expires_in": int(s.settings.DeviceLife.Seconds()), "interval": int(d.interval.Seconds()),
	})
}

// tradeDevice answers as RFC 8628 section 3.5 says.
func (s *Server) tradeDevice(client, code string) (*grant, *refusal) {
	d := s.devices[code]
	if d == nil || d.client != client {
		return nil, &refusal{400, "invalid_grant", "the device code is not known"}
	}
	early := s.now().Sub(d.asked) < d.interval
	d.asked = s.now()
	switch {
	case !s.now().Before(d.expires):
		return nil, &refusal{400, "expired_token", "the device code has expired"}
	case early:
		d.interval += 5 * time.Second
		return nil, &refusal{400, "slow_down", "ask less often"}
	case d.declined:
		return nil, &refusal{400, "access_denied", "the person has declined"}
	case d.grant == nil:
		return nil, &refusal{400, "authorization_pending", "the person has not answered yet"}
	}
	delete(s.devices, code)
	s.counts.Codes++
	return d.grant, nil
}

// consentTo consents to the device code with this user code, or declines it if the mailbox is
// empty.
func (s *Server) consentTo(user, mailbox string) error {
	for _, d := range s.devices {
		if d.user != user || d.grant != nil || d.declined || !s.now().Before(d.expires) {
			continue
		}
		d.declined = mailbox == ""
		if !d.declined {
			d.grant = &grant{client: d.client, mailbox: mailbox, offline: true, traded: true}
		}
		return nil
	}
	return fmt.Errorf("the code %q is not known", user)
}

// Enter does what a person does who enters a user code, and consents for a mailbox. An empty one
// declines.
func (s *Server) Enter(t testing.TB, user, mailbox string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.consentTo(user, mailbox); err != nil {
		t.Fatal(err)
	}
}

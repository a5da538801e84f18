package web

import (
	"fmt"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

// TestBounds: one more than a person can have is answered with 409, its code and the number, also
// if the admin token adds it.
func TestBounds(t *testing.T) {
	t.Parallel()
	for code, row := range map[string]struct {
		most  int
		add   func(s *registry.Store, user string, i int) error
		route string
		body  object
		admin bool // the admin token may add it, too
	}{
		"too_many_devices": {50, func(s *registry.Store, user string, i int) error {
			_, _, err := s.Devices.Register(routed(idlepush.Device{User: user, Name: "phone", Transport: "fcm", Address: idlepush.Secret(fmt.Sprint(i)), Content: idlepush.LevelWake}), "", time.Now())
			return err
		}, "/devices", fcmDevice(), true},
		"too_many_accounts": {50, func(s *registry.Store, user string, i int) error {
			_, _, err := s.Accounts.Add(idlepush.Account{Owner: user, Host: "imap.example.net", Username: fmt.Sprint(i), Folders: []string{"INBOX"}}, "", time.Now())
			return err
		}, "/accounts", mailbox(), true},
		"too_many_tokens": {47, func(s *registry.Store, user string, i int) error { // she has three
			_, _, err := s.Logins.AddToken(user, "app", idlepush.ScopeDevice, "", time.Now())
			return err
		}, "/tokens", object{"name": "app", "scope": "device"}, true},
		"too_many_invites": {20, func(s *registry.Store, user string, i int) error {
			_, _, err := s.Users.AddInvite(user, registry.InviteForDevice, false, "", time.Now())
			return err
		}, "/invites", object{"for": "device"}, false},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			h := newBoundedServer(t)
			for i := range row.most {
				fatal(t, row.add(h.store, h.anna.id, i))
			}
			answers := []answer{h.call(h.anna.full, "POST", row.route, row.body, 409)}
			if row.admin {
				answers = append(answers, h.call(adminToken, "POST", row.route, row.body.with("user", h.anna.id), 409))
			}
			limit := map[bool]string{true: "20", false: "50"}[code == "too_many_invites"]
			for _, a := range answers {
				if a.body["code"] != code || !sameParams(a.body["params"], map[string]string{"limit": limit}) {
					t.Errorf("the answer is %s", a.raw)
				}
			}
		})
	}
}

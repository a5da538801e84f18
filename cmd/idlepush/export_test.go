package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

func TestExport(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/users", map[string]any{"name": "Ben", "password": registrytest.Password}, nil))
	s.Deliver(t, "for anna")
	testenv.Await(t, "it rings", func() error { return requests(func() int { return len(s.Web.Messages()) }, 4)() })
	for _, running := range []bool{true, false} {
		if !running {
			s.Stop(t)
		}
		text, err := keepCommand(t, s, "", "export", "Anna")
		var got export
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if err != nil || got.Name != "anna" || len(got.Mailboxes) != 1 || got.Mailboxes[0].Username != s.Mail.User || len(got.Devices) != 4 || len(got.Logins) == 0 {
			t.Errorf("%v: %s", err, text)
		}
		if !slices.ContainsFunc(got.Mail, func(m exportedMail) bool {
			return m.Subject == "for anna" && m.Mailbox == "anna@example.org" && len(m.RangOn) > 0
		}) {
			t.Errorf("the mail is not in %s", text)
		}
		secrets := []string{s.Mail.Password, s.Client.Token, string(s.FCM.Messages()[0].Token)}
		for _, m := range s.Web.Messages() {
			secrets = append(secrets, string(m.Endpoint))
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("it has a secret that begins with %.8q", secret)
			}
		}
		if text, err := keepCommand(t, s, "", "export", "ben"); err != nil || strings.Contains(text, "anna") {
			t.Errorf("for Ben: %v: %s", err, text)
		}
		if text, err := keepCommand(t, s, "", "export", "Carla"); err == nil || !strings.Contains(text, `there is no person "Carla"`) {
			t.Errorf("for nobody: %v: %s", err, text)
		}
	}
}

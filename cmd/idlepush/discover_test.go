package main

import (
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
)

// A mailbox that takes nothing but OAuth has a note that asks for the admin until there is a
// client.
func TestDiscoveryKnowsWhereOneCanSignIn(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.SetUp(t)
	note := func(host string) string {
		var found struct {
			Settings []struct {
				Auth   []string
				OAuth  string
				Client bool
			}
			Notes []struct {
				Code   string
				Params map[string]string
			}
		}
		systemtest.Must(t, s.Client.Post(testenv.Context(t), "/accounts/discover", map[string]string{"email": "ann@outlook.com", "host": host}, &found))
		if len(found.Settings) != 1 || len(found.Settings[0].Auth) != 1 || found.Settings[0].Auth[0] != "oauth" || found.Settings[0].OAuth != "microsoft" || len(found.Notes) != 1 {
			t.Fatalf("found is %+v", found)
		}
		if s := found.Settings[0]; s.Client != (found.Notes[0].Params["case"] == "") {
			t.Errorf("with the note %+v people can sign in: %v", found.Notes[0], s.Client)
		}
		return found.Notes[0].Code + " " + found.Notes[0].Params["case"]
	}
	if got := note(""); got != "oauth2 no_client" {
		t.Errorf("without a client the note is %q", got)
	}
	systemtest.Must(t, s.Client.Call(testenv.Context(t), "PATCH", "/clients/microsoft", map[string]string{"client_id": "6731de76-14a6-49ae-97bc-6eba6914391e"}, nil))
	for _, host := range []string{"", "imap-mail.outlook.com"} {
		if got := note(host); got != "oauth2 " {
			t.Errorf("with a client the note about %q is %q", host, got)
		}
	}
}

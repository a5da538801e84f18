package oauthtest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"idlepush/registry/registrytest"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

const (
	redirect = "https://push.example.com/oauth"
	state    = "state-0123456789"
	password = registrytest.SecretMarker + " password"
	ann      = "ann@example.com"
	team     = "team@example.com"
)

func known(s *oauthtest.Server) oauth.Client {
	s.Register("idlepush", "", redirect)
	s.AddPerson(oauthtest.Person{Name: "Ann", Password: password, Mailboxes: []string{ann, team}})
	return s.Client("idlepush")
}

// send asks the server, follows no redirect, and returns the answer and its text.
func send(t *testing.T, s *oauthtest.Server, method, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	client := s.HTTP()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(text)
}

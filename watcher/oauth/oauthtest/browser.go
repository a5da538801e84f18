package oauthtest

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var pageSecret = regexp.MustCompile(`name="page" value="([^"]+)"`)

// Consent does what a browser does with the URL of a consent, for the first person who has the
// mailbox, and returns the URL to which the browser is redirected. It does not request that URL.
func (s *Server) Consent(t testing.TB, address, mailbox string) *url.URL {
	t.Helper()
	return s.answer(t, address, mailbox, "allow")
}

// Decline does the same for a person who declines.
func (s *Server) Decline(t testing.TB, address, mailbox string) *url.URL {
	t.Helper()
	return s.answer(t, address, mailbox, "decline")
}

func (s *Server) answer(t testing.TB, address, mailbox, answer string) *url.URL {
	t.Helper()
	person, err := s.personOf(mailbox)
	if err != nil {
		t.Fatal(err)
	}
	client := s.HTTP()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got, secret := visit(t, client, http.MethodGet, address, nil)
	if got.StatusCode == http.StatusOK {
		_, secret = visit(t, client, http.MethodPost, address, url.Values{"page": {secret}, "name": {person.Name}, "password": {person.Password}, "answer": {"login"}})
		got, _ = visit(t, client, http.MethodPost, address, url.Values{"page": {secret}, "mailbox": {mailbox}, "answer": {answer}})
	}
	back, err := got.Location()
	if err != nil {
		t.Fatalf("the provider answers %s, and sends the browser nowhere", got.Status)
	}
	return back
}

func (s *Server) personOf(mailbox string) (Person, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.people {
		for _, own := range p.Mailboxes {
			if own == mailbox {
				return p, nil
			}
		}
	}
	return Person{}, fmt.Errorf("nobody has the mailbox %s", mailbox)
}

// visit asks for a page and returns the secret of its form.
func visit(t testing.TB, client *http.Client, method, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
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
	found := pageSecret.FindSubmatch(text)
	if found == nil {
		return got, ""
	}
	return got, html.UnescapeString(string(found[1]))
}

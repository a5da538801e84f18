package oauthtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
	"idlepush/web/browsertest"
)

func TestBrowser(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(t)
	known(s)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!DOCTYPE html><title>Back</title><p>Back with %s%s", r.FormValue("state"), r.FormValue("error"))
	}))
	t.Cleanup(client.Close)
	s.Register("idlepush", "", client.URL+"/oauth")
	c := s.Client("idlepush")
	begin := c.CodeURL(client.URL+"/oauth", state, oauth.NewVerifier(), ann)

	browser := browsertest.Chromium(t)
	p := browser.Open(t, begin)
	p.CheckAccessible(t)
	p.Type(t, "Name", "Ann")
	p.Type(t, "Password", password)
	p.Click(t, "Next")
	p.WaitText(t, "idlepush wants to read your mail.")
	p.CheckAccessible(t)
	p.Click(t, team)
	p.Click(t, "Allow")
	p.WaitText(t, "Back with "+state)

	p.Navigate(t, begin)
	p.Type(t, "Name", "Ann")
	p.Type(t, "Password", password)
	p.Press(t, browsertest.Enter)
	p.Click(t, "Decline")
	p.WaitText(t, "access_denied")

	d, err := c.Device(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Navigate(t, d.URL)
	p.Type(t, "Code", d.UserCode)
	p.Type(t, "Name", "Ann")
	p.Type(t, "Password", password)
	p.Click(t, "Next")
	p.Click(t, ann)
	p.Click(t, "Allow")
	p.WaitText(t, "Done.")
	if _, err := c.Poll(t.Context(), d); err != nil {
		t.Error(err)
	}
}

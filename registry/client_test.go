package registry

import (
	"slices"
	"testing"

	"idlepush"
)

func TestClients(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	other := idlepush.OAuthClient{Provider: "other", Issuer: "https://login.example.org", ID: "1", Secret: "one"}
	google := idlepush.OAuthClient{Provider: "google", ID: "2"}
	hold := func(when string, want ...idlepush.OAuthClient) {
		t.Helper()
		reopen(t, s)
		if list, err := s.Accounts.Clients(); err != nil || !slices.Equal(list, want) {
			t.Errorf("%s there are %+v, %v", when, list, err)
		}
	}
	set := func(c idlepush.OAuthClient) {
		t.Helper()
		if err := s.Accounts.SetClient(c); err != nil {
			t.Fatal(err)
		}
	}
	hold("at first")
	set(other)
	set(google)
	hold("once they are set", google, other)
	other.Issuer, other.Secret = "https://sso.example.org", ""
	set(other)
	hold("after a change", google, other)
	set(idlepush.OAuthClient{Provider: "google"})
	hold("after one is removed", other)
}

package oauthtest_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"idlepush/watcher/imaptest/servers"
	"idlepush/watcher/oauth/oauthtest"
)

// xoauth2 is Google's mechanism, which go-sasl does not have.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", fmt.Appendf(nil, "user=%s\x01auth=Bearer %s\x01\x01", x.user, x.token), nil
}

func (xoauth2) Next([]byte) ([]byte, error) { return nil, nil }

func TestDovecot(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(t)
	known(s)
	d := servers.Dovecot(t, s.DovecotSettings(t))
	s.AddPerson(oauthtest.Person{Name: d.User, Mailboxes: []string{d.User}})
	c := s.Client("idlepush")
	token, err := c.Refresh(t.Context(), s.Grant("idlepush", d.User))
	if err != nil {
		t.Fatal(err)
	}
	login := func(mechanism sasl.Client) error {
		client, err := imapclient.DialTLS(net.JoinHostPort(d.Host, strconv.Itoa(d.TLSPort)), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: d.Roots}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.Authenticate(mechanism); err != nil {
			return err
		}
		_, err = client.Select("INBOX", nil).Wait()
		return err
	}
	bearer := func(user, token string) sasl.Client {
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: user, Token: token})
	}
	access := string(token.Access)
	for _, mechanism := range []sasl.Client{bearer(d.User, access), xoauth2{d.User, access}} {
		if err := login(mechanism); err != nil {
			t.Errorf("%T: %v", mechanism, err)
		}
	}
	if got := s.Counts(); got.Known != 2 || got.Unknown != 0 {
		t.Errorf("the provider counts %+v", got)
	}
	for _, mechanism := range []sasl.Client{bearer(d.User, "planted"), bearer("bob", access), xoauth2{d.User, "planted"}, xoauth2{"bob", access}} {
		if err := login(mechanism); err == nil {
			t.Errorf("%+v is logged in", mechanism)
		}
	}
	s.Revoke(d.User)
	if err := login(bearer(d.User, access)); err == nil {
		t.Error("a token that was revoked is accepted")
	}
	// Passwords are taken as before.
	if err := login(sasl.NewPlainClient("", d.User, d.Password)); err != nil {
		t.Errorf("the password: %v", err)
	}
}

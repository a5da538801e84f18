package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/cmd/idlepush/api"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

// browser is a browser with its cookies.
type browser struct {
	t    *testing.T
	s    *systemtest.System
	http http.Client
}

func newBrowser(t *testing.T, s *systemtest.System) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	systemtest.Must(t, err)
	return &browser{t, s, http.Client{Jar: jar}}
}

// try sends a request and decodes the answer into out, unless that is nil.
func (b *browser) try(method, path string, in map[string]any, out any) error {
	b.t.Helper()
	text, err := json.Marshal(in)
	systemtest.Must(b.t, err)
	r, err := http.NewRequestWithContext(testenv.Context(b.t), method, b.s.Origin+"/api/v1"+path, bytes.NewReader(text))
	systemtest.Must(b.t, err)
	r.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(r)
	systemtest.Must(b.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	systemtest.Must(b.t, err)
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// call is try for a request that must work.
func (b *browser) call(method, path string, in map[string]any, out any) {
	b.t.Helper()
	systemtest.Must(b.t, b.try(method, path, in, out))
}

// ids returns the ids of a list, sorted.
func (b *browser) ids(path string) (ids []string) {
	b.t.Helper()
	var list struct{ Items []struct{ ID string } }
	b.call("GET", path, nil, &list)
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	slices.Sort(ids)
	return ids
}

// choose opens the link of the code, as soon as the person's devices were told, and chooses the
// password.
func (b *browser) choose(code, name, password string) {
	b.t.Helper()
	var look struct{ For, Name string }
	b.call("POST", "/invites/look", map[string]any{"code": code}, &look)
	if look.For != "password" || !strings.EqualFold(look.Name, name) {
		b.t.Errorf("the link is %+v", look)
	}
	testenv.Await(b.t, "the devices were told", func() error {
		return b.try("POST", "/invites/accept", map[string]any{"code": code, "password": password}, nil)
	})
}

var printedLink = regexp.MustCompile(`#/password/([A-Z2-7]{26})\n`)

// printLink runs password-link for Anna and returns the code.
func printLink(t *testing.T, s *systemtest.System) string {
	t.Helper()
	c := s.Command(t)
	c.Args = []string{c.Args[0], "password-link", "Anna"}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := printedLink.FindSubmatch(out)
	if found == nil {
		t.Fatalf("it prints %q", out)
	}
	return string(found[1])
}

// attentions returns the codes of what the device at the endpoint was told.
func attentions(t *testing.T, s *systemtest.System, endpoint idlepush.Secret) (list []string) {
	t.Helper()
	for _, m := range s.Web.Messages() {
		var p struct{ Idlepush struct{ Kind, Code string } }
		systemtest.Must(t, json.Unmarshal(m.Body, &p))
		if m.Endpoint == endpoint && p.Idlepush.Kind == "attention" {
			list = append(list, p.Idlepush.Code)
		}
	}
	return list
}

// A household that has forgotten every password but the mail's. Nobody is logged in any more.
func TestAHouseholdThatLostItsPasswordsKeepsItsMailboxes(t *testing.T) {
	t.Parallel()
	const secret = registrytest.SecretMarker
	s := startSystem(t)
	s.SetUp(t)
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/accounts", s.Account(), nil))
	var key struct {
		PublicKey string `json:"public_key"`
	}
	systemtest.Must(t, s.Client.Get(testenv.Context(t), "/vapid", &key))
	subscribe := func(name string) (endpoint idlepush.Secret, device map[string]any) {
		sub, err := s.Web.Subscribe(s.WebOrigin, key.PublicKey)
		systemtest.Must(t, err)
		return sub.Endpoint, map[string]any{"name": name, "transport": "webpush", "content": "subject",
			"subscription": map[string]any{"endpoint": string(sub.Endpoint), "keys": api.Keys(sub.Keys)}}
	}
	annas, device := subscribe("Anna's")
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/devices", device, nil))

	var invite struct{ ID, Code string }
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/invites", map[string]any{"for": "person"}, &invite))
	ben := newBrowser(t, s)
	var joined struct{ User struct{ ID string } }
	ben.call("POST", "/invites/accept", map[string]any{"code": invite.Code, "name": "Ben", "password": secret + " of Ben"}, &joined)
	s.Mail.AddUser(t, "ben", s.Mail.Password)
	account := s.Account()
	account["username"], account["email"] = "ben", "ben@example.org"
	ben.call("POST", "/accounts", account, nil)
	bens, device := subscribe("Ben's")
	ben.call("POST", "/devices", device, nil)
	had := [][]string{ben.ids("/accounts"), ben.ids("/devices")}

	for _, running := range []bool{true, false} {
		var code string
		if running {
			code = printLink(t, s)
		} else {
			s.Stop(t)
			code = printLink(t, s)
			s.Start(t)
		}
		anna := newBrowser(t, s)
		anna.choose(code, "anna", secret+" of Anna, chosen anew")
		if accounts, devices := anna.ids("/accounts"), anna.ids("/devices"); len(accounts) != 1 || len(devices) != 1 {
			t.Errorf("Anna has %d mailboxes and %d devices", len(accounts), len(devices))
		}
		anna.call("POST", "/invites", map[string]any{"for": "password", "user": joined.User.ID}, &invite)
		ben = newBrowser(t, s)
		ben.choose(invite.Code, "Ben", secret+" of Ben, chosen anew")
		if has := [][]string{ben.ids("/accounts"), ben.ids("/devices")}; fmt.Sprint(has) != fmt.Sprint(had) {
			t.Errorf("Ben has %v, and had %v", has, had)
		}
		anna.call("POST", "/login", map[string]any{"name": "anna", "password": secret + " of Anna, chosen anew"}, nil)
	}
	testenv.Await(t, "both were told of each link and each new password", func() error {
		want := "[password_link password_set password_link password_set]"
		for name, endpoint := range map[string]idlepush.Secret{"Anna": annas, "Ben": bens} {
			if got := fmt.Sprint(attentions(t, s, endpoint)); got != want {
				return fmt.Errorf("%s was told %s", name, got)
			}
		}
		return nil
	})
	for user, endpoint := range map[string]idlepush.Secret{s.Mail.User: annas, "ben": bens} {
		s.Mail.Deliver(t, user, "INBOX", fmt.Appendf(nil, "From: Planted Sender <berta@example.org>\r\nSubject: planted for %s\r\nMessage-ID: <%[1]s@example.org>\r\n\r\nHi\r\n", user))
		testenv.Await(t, "mail rings", func() error {
			for _, m := range s.Web.Messages() {
				if m.Endpoint == endpoint && strings.Contains(string(m.Body), "planted for "+user) {
					return nil
				}
			}
			return fmt.Errorf("no push for %s", user)
		})
	}
	s.Stop(t)
	s.CheckNoSecrets(t)
}

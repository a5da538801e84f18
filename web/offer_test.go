package web

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestOffers(t *testing.T) {
	t.Parallel()
	t.Run("a mailbox is shared once the other person accepts", offerAccepted)
	t.Run("who declined or left is offered nothing for a week, and the owner is told until when", offerRefused)
	t.Run("who is taken out is asked anew", offerAfterShare)
	t.Run("an offer does not let its owner pass for another", offerOfImpostor)
	t.Run("the owner is told who joins with the password", offerOvertaken)
}

// accept accepts all offers to the user of the token.
func (h *testServer) accept(token string) {
	h.t.Helper()
	for _, o := range h.offers(token) {
		h.call(token, "POST", "/offers/"+o["id"].(string)+"/accept", nil, 204)
	}
}

func (h *testServer) offers(token string) (list []map[string]any) {
	h.t.Helper()
	for _, o := range h.call(token, "GET", "/offers", nil, 200).body["items"].([]any) {
		list = append(list, o.(map[string]any))
	}
	return list
}

func offerAccepted(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201)
	if fmt.Sprint(a.body["shared_with"], a.body["offered_to"]) != fmt.Sprint("[] ", []string{h.ben.id}) {
		t.Errorf("it is %s", a.raw)
	}
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 404)
	if list := h.call(h.ben.full, "GET", "/accounts", nil, 200); len(list.body["items"].([]any)) > 0 {
		t.Errorf("before he accepts, Ben sees %s", list.raw)
	}
	offers := h.offers(h.ben.full)
	if len(offers) != 1 || offers[0]["owner"] != h.anna.id || offers[0]["owner_name"] != "Anna" || offers[0]["email"] != "anna@example.net" || offers[0]["host"] != "imap.example.net" || offers[0]["username"] != "anna" {
		t.Fatalf("the offers are %v", offers)
	}
	if list := h.offers(h.anna.full); len(list) > 0 {
		t.Errorf("Anna is offered %v", list)
	}
	// The list may be sent again as it is.
	if again := h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{h.ben.id}}, 200); again.raw != a.raw {
		t.Errorf("once more it is %s, and was %s", again.raw, a.raw)
	}
	h.call(h.ben.full, "POST", "/offers/"+offers[0]["id"].(string)+"/accept", nil, 204)
	got := h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 200)
	if got.id() != a.id() || fmt.Sprint(got.body["shared_with"]) != fmt.Sprint([]string{h.ben.id}) || got.body["offered_to"] != nil {
		t.Errorf("it is %s", got.raw)
	}
	h.call(h.ben.full, "POST", "/offers/"+offers[0]["id"].(string)+"/accept", nil, 404)
	if list := h.call(h.anna.full, "GET", "/notifications", nil, 200); !strings.Contains(list.raw, "anna@example.net: “Ben” has accepted") {
		t.Errorf("Anna is told %s", list.raw)
	}
}

func offerRefused(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(h *testServer, account string){
		"declined": func(h *testServer, _ string) {
			h.call(h.ben.full, "DELETE", "/offers/"+h.offers(h.ben.full)[0]["id"].(string), nil, 204)
		},
		"left": func(h *testServer, account string) {
			h.accept(h.ben.full)
			h.call(h.ben.full, "DELETE", "/accounts/"+account, nil, 204)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestServer(t)
			a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201)
			began := time.Now()
			refuse(h, a.id())
			if len(h.offers(h.ben.full)) > 0 {
				t.Error("the offer stays")
			}
			check := func(problem answer) {
				t.Helper()
				params, _ := problem.body["params"].(map[string]any)
				from, err := time.Parse(time.RFC3339, fmt.Sprint(params["from"]))
				if problem.body["code"] != "share_refused" || params["person"] != "Ben" || err != nil || from.Sub(began).Round(time.Minute) != 7*24*time.Hour {
					t.Errorf("it says %s", problem.raw)
				}
			}
			h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{}}, 200)
			check(h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{h.ben.id}, "email": "x@example.net"}, 409))
			check(h.call(adminToken, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{h.ben.id}}, 409))
			if now := h.call(h.anna.full, "GET", "/accounts/"+a.id(), nil, 200); now.body["email"] != "anna@example.net" {
				t.Errorf("it is refused, and %s", now.raw)
			}
			h.call(h.anna.full, "DELETE", "/accounts/"+a.id(), nil, 204)
			check(h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 409))
			if h.accounts() > 0 {
				t.Error("it is refused, and added")
			}
		})
	}
}

func offerAfterShare(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201)
	h.accept(h.ben.full)
	h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{}}, 200)
	h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{h.ben.id}}, 200)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 404)
	h.accept(h.ben.full)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 200)
	if got := h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 200); got.body["offered_to"] != nil {
		t.Errorf("Ben sees to whom it is offered: %s", got.raw)
	}
}

func offerOfImpostor(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.ben.full, "POST", "/accounts", mailbox().with("email", "anna@your-bank.example").with("host", "imap.evil.example").with("shared_with", []string{h.anna.id}), 201)
	list := h.call(h.anna.full, "GET", "/notifications", nil, 200)
	n := list.body["items"].([]any)[0].(map[string]any)
	if text := n["text"].(string); n["code"] != "share_offered" || !strings.HasPrefix(text, "“Ben” wants to share a mailbox with you, under the name anna@your-bank.example, which is on the mail server imap.evil.example.") {
		t.Errorf("Anna is told %s", list.raw)
	}
}

func offerOvertaken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201)
	if got := h.call(h.ben.full, "POST", "/accounts", mailbox(), 200); got.id() != a.id() || len(h.offers(h.ben.full)) > 0 {
		t.Errorf("it is %s, and Ben is offered %v", got.raw, h.offers(h.ben.full))
	}
	list := h.call(h.anna.full, "GET", "/notifications", nil, 200)
	if !strings.Contains(list.raw, "anna@example.net: “Ben” has added it with its password") {
		t.Errorf("Anna is told %s", list.raw)
	}
	if me := h.call(h.anna.full, "GET", "/me", nil, 200); !strings.Contains(me.raw, "share_joined") {
		t.Errorf("without a device her page tells %s", me.raw)
	}
}

package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"idlepush"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	t.Run("an account is stored after a successful login", accountStoredAfterLogin)
	t.Run("checking a login stores nothing", accountCheckStoresNothing)
	t.Run("a folder must exist", accountFolderMustExist)
	t.Run("unreadable folders are counted, and may still be chosen", accountUnreadableFolders)
	t.Run("a second user with the password gets the mailbox shared", accountSharedByPassword)
	t.Run("an account is shared only with users", accountSharedWithUsers)
	t.Run("the server changes only together with the password", accountServerNeedsPassword)
	t.Run("other settings change without a login", accountChangeWithoutLogin)
	t.Run("a refused login has the time of its next try, and is tried again once the password is checked", accountRefused)
	t.Run("an empty change leaves the session alone", accountEmptyChange)
	t.Run("two accounts are never the same mailbox", accountMailboxUnique)
	t.Run("concurrent changes undo nothing", accountConcurrentChanges)
	t.Run("lists are newest first, in pages", accountListInPages)
	t.Run("sharing ends when the account becomes another mailbox", accountShareEnds)
	t.Run("who shared an account that is removed is told, and keeps the mailbox with its password", accountKeptBySharer)
	t.Run("who leaves an account is not told", accountLeft)
}

func accountStoredAfterLogin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("password", wrong), 422)
	a.wantFields(t, "password")
	if a.body["code"] != "login_refused" || h.accounts() != 0 {
		t.Errorf("a wrong password: %d stored, %s", h.accounts(), a.raw)
	}
	a = h.call(h.anna.full, "POST", "/accounts", mailbox(), 201)
	want := fmt.Sprint(map[string]any{"security": "tls", "port": 993.0, "folders": []any{"INBOX"}, "enabled": true, "shared_with": []any{}, "owner": h.anna.id})
	got := make(map[string]any)
	for _, k := range []string{"security", "port", "folders", "enabled", "shared_with", "owner"} {
		got[k] = a.body[k]
	}
	if fmt.Sprint(got) != want || a.state() != "new" {
		t.Errorf("the defaults are %v, want %s", got, want)
	}
	if last := a.body["status"].(map[string]any)["last_byte"]; last != "2026-01-02T03:04:05Z" {
		t.Errorf("the live age is %v", last)
	}
	if st := a.body["status"].(map[string]any); st["interval_code"] != "interval_default" || st["interval_reason"] != allCodes.Sentence("interval_default", nil) {
		t.Errorf("the reason for the interval is %v, %v", st["interval_code"], st["interval_reason"])
	}
	if every := a.body["status"].(map[string]any)["tour"]; every != 30.0 {
		t.Errorf("the other folders are looked at every %v s", every)
	}
	stored, err := h.store.Accounts.Get(a.id())
	fatal(t, err)
	if stored.Password != password || stored.Status.LoggedIn.IsZero() {
		t.Error("the password, or that it has logged in, is not stored")
	}
	if port := h.call(h.anna.full, "POST", "/accounts", mailbox().with("security", "starttls").with("username", nil), 201); port.body["port"] != 143.0 || port.body["username"] != "anna@example.net" {
		t.Errorf("with starttls: %s", port.raw)
	}
}

func (h *testServer) accounts() int {
	list, err := h.store.Accounts.List()
	fatal(h.t, err)
	return len(list)
}

func accountCheckStoresNothing(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts/check", mailbox().with("email", nil), 200)
	if a.body["idle"] != true || !strings.Contains(a.raw, "Schule & Sport") || h.accounts() != 0 {
		t.Errorf("%d stored, %s", h.accounts(), a.raw)
	}
	h.set(func() {
		h.check = func(context.Context, idlepush.Account) (Check, error) { return Check{}, nil }
	})
	h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 200)
	h.set(func() {
		h.check = func(context.Context, idlepush.Account) (Check, error) {
			return Check{}, errors.New("a fault of the server's own")
		}
	})
	if a := h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 500); strings.Contains(a.raw, "own") || strings.Count(h.log.String(), "request failed") != 1 {
		t.Errorf("it says %s", a.raw)
	}
}

func accountFolderMustExist(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("folders", []string{"inbox", "Nirgends"}), 422).wantFields(t, "folders[1]")
	a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("folders", []string{"Family", "inbox", "Inbox", "Family"}), 201)
	if fmt.Sprint(a.body["folders"]) != "[Family INBOX]" {
		t.Errorf("the folders are %v", a.body["folders"])
	}
	h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"folders": []string{"Family", "Nirgends"}}, 422).wantFields(t, "folders[1]")
	if a = h.call(h.anna.full, "GET", "/accounts/"+a.id(), nil, 200); fmt.Sprint(a.body["folders"]) != "[Family INBOX]" {
		t.Errorf("after a change that was refused the folders are %v", a.body["folders"])
	}
}

func accountUnreadableFolders(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201)
	for _, n := range []int{0, 2} {
		h.set(func() {
			h.check = func(context.Context, idlepush.Account) (Check, error) {
				return Check{Folders: []Folder{{Name: "INBOX"}}, UnreadableFolders: n}, nil
			}
		})
		for _, answer := range []answer{h.call(h.anna.full, "POST", "/accounts/check", mailbox(), 200), h.call(h.anna.full, "GET", "/accounts/"+a.id()+"/folders", nil, 200)} {
			if answer.body["unreadable_folders"] != float64(n) {
				t.Errorf("of %d it says %s", n, answer.raw)
			}
		}
		h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"folders": []string{"INBOX", "5\" disks"}}, map[int]int{0: 422, 2: 200}[n])
	}
}

func accountSharedByPassword(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 404)
	refused := h.call(h.ben.full, "POST", "/accounts", mailbox().with("password", wrong), 422)
	nobody := h.call(h.ben.full, "POST", "/accounts", mailbox().with("password", wrong).with("username", "none"), 422)
	if refused.raw != nobody.raw {
		t.Errorf("a wrong password tells that the mailbox is watched: %s", refused.raw)
	}
	b := h.call(h.ben.full, "POST", "/accounts", mailbox().with("host", "IMAP.Example.NET"), 200)
	if b.id() != a.id() || fmt.Sprint(b.body["shared_with"]) != fmt.Sprint([]string{h.ben.id}) || b.body["owner"] != h.anna.id {
		t.Errorf("it is %s", b.raw)
	}
	h.call(h.ben.full, "POST", "/accounts", mailbox(), 200)
	h.call(h.anna.full, "POST", "/accounts", mailbox(), 200)
	if h.accounts() != 1 {
		t.Errorf("%d accounts for one mailbox", h.accounts())
	}

	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 200)
	if p := h.call(h.ben.full, "PATCH", "/accounts/"+a.id(), object{"enabled": false}, 403); p.body["code"] != "not_owner" {
		t.Errorf("it says %s", p.raw)
	}
	h.call(h.ben.full, "DELETE", "/accounts/"+a.id(), nil, 204)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 404)
	left := h.call(h.anna.full, "GET", "/accounts/"+a.id(), nil, 200)
	if fmt.Sprint(left.body["shared_with"]) != "[]" {
		t.Errorf("the owner still shares it: %s", left.raw)
	}
	h.call(h.anna.full, "DELETE", "/accounts/"+a.id(), nil, 204)
	if h.accounts() != 0 {
		t.Error("the owner cannot remove it")
	}
}

func accountSharedWithUsers(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{"nobody"}), 422).wantFields(t, "shared_with[0]")
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.anna.id}), 422).wantFields(t, "shared_with[0]")
	a := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 404)
	h.accept(h.ben.full)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 200)
	h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{h.ben.id, h.ben.id}}, 422).wantFields(t, "shared_with[1]")
	h.call(h.anna.full, "PATCH", "/accounts/"+a.id(), object{"shared_with": []string{}}, 200)
	h.call(h.ben.full, "GET", "/accounts/"+a.id(), nil, 404)
}

func accountServerNeedsPassword(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	at := "/accounts/" + id
	for field, value := range map[string]any{"host": "imap.evil.example", "port": 143, "security": "starttls", "username": "ben"} {
		h.call(h.anna.full, "PATCH", at, object{field: value}, 422).wantFields(t, "password")
		h.call(adminToken, "PATCH", at, object{field: value}, 422).wantFields(t, "password")
		h.call(h.anna.full, "PATCH", at, object{field: value, "password": wrong}, 422).wantFields(t, "password")
	}
	before, err := h.store.Accounts.Get(id)
	fatal(t, err)
	if before.Host != "imap.example.net" || before.Password != password {
		t.Errorf("a refused change was stored: %v", before.Host)
	}
	if a := h.call(h.anna.full, "PATCH", at, object{"host": "imap.example.net", "port": 993, "security": "tls"}, 200); a.body["host"] != "imap.example.net" {
		t.Error("what does not change asks for the password")
	}
	h.call(h.anna.full, "PATCH", at, object{"host": "mail.example.net", "password": password}, 200)
	after, err := h.store.Accounts.Get(id)
	fatal(t, err)
	if after.Host != "mail.example.net" {
		t.Errorf("the host is %s", after.Host)
	}
}

func accountChangeWithoutLogin(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/accounts/" + h.call(h.anna.full, "POST", "/accounts", mailbox().with("folders", []string{"Family", "INBOX"}), 201).id()
	a := h.call(h.anna.full, "PATCH", at, object{"enabled": false, "folders": []string{"Family"}, "email": "a@example.net"}, 200)
	if a.body["enabled"] != false || fmt.Sprint(a.body["folders"]) != "[Family]" || a.body["email"] != "a@example.net" {
		t.Errorf("it is %s", a.raw)
	}
	if h.tried != 1 {
		t.Errorf("%d logins, want that of the registration alone", h.tried)
	}
}

func accountRefused(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	stored, err := h.store.Accounts.Get(id)
	fatal(t, err)
	now := time.Now()
	fatal(t, h.store.Mail.SetState(stored, idlepush.Status{State: idlepush.StateRetrying, Since: now, Reason: idlepush.Reason{Code: "login_refused"},
		Failures: 1, Failing: now, Retry: now.Add(time.Hour)}))
	status := h.call(h.anna.full, "GET", "/accounts/"+id, nil, 200).body["status"].(map[string]any)
	if status["next_try"] != now.Add(time.Hour).UTC().Format(time.RFC3339Nano) {
		t.Errorf("the status is %v", status)
	}
	h.call(h.anna.full, "PATCH", "/accounts/"+id, object{"password": wrong}, 422)
	if a := h.call(h.anna.full, "PATCH", "/accounts/"+id, object{"password": password}, 200); a.state() != "new" || a.body["status"].(map[string]any)["next_try"] != nil {
		t.Errorf("after the same password it is %s", a.raw)
	}
}

func accountEmptyChange(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	stored, err := h.store.Accounts.Get(id)
	fatal(t, err)
	fatal(t, h.store.Mail.SetState(stored, idlepush.Status{State: idlepush.StateWatching, Since: time.Now(), Proof: time.Now()}))
	if a := h.call(h.anna.full, "PATCH", "/accounts/"+id, object{"enabled": true}, 200); a.state() != "watching" {
		t.Errorf("the session was begun anew: %v", a.state())
	}
}

func accountMailboxUnique(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/accounts", mailbox(), 201)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox().with("username", "other"), 201).id()
	if a := h.call(h.anna.full, "PATCH", "/accounts/"+id, object{"username": "anna", "password": password}, 409); a.body["code"] != "taken" {
		t.Errorf("it says %s", a.raw)
	}
}

func accountConcurrentChanges(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	h.set(func() {
		h.check = func(ctx context.Context, a idlepush.Account) (Check, error) {
			if a.Host == "slow.example.net" { // the password changes during the check
				h.call(h.anna.full, "PATCH", "/accounts/"+id, object{"host": "fast.example.net", "password": password}, 200)
			}
			return accept(ctx, a)
		}
	})
	a := h.call(h.anna.full, "PATCH", "/accounts/"+id, object{"host": "slow.example.net", "password": password}, 409)
	stored, err := h.store.Accounts.Get(id)
	fatal(t, err)
	if a.body["code"] != "changed" || stored.Host != "fast.example.net" {
		t.Errorf("%s is stored, %s", stored.Host, a.raw)
	}
}

func accountListInPages(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	var want []string
	now := time.Now()
	for i := range 7 {
		a, _, err := h.store.Accounts.Add(idlepush.Account{Owner: h.anna.id, Email: "a@b.c", Host: "h", Port: 993, Security: idlepush.SecurityTLS, Username: fmt.Sprint(i), Folders: []string{"INBOX"}}, "", now.Add(time.Duration(i/2)*time.Second))
		fatal(t, err)
		want = append([]string{a.ID}, want...)
	}
	var got []string
	for after := ""; ; {
		a := h.call(h.anna.full, "GET", "/accounts?limit=3&after="+after, nil, 200)
		for _, item := range a.body["items"].([]any) {
			id := item.(map[string]any)["id"].(string)
			got = append(got, id)
			if len(got) == 3 { // the last item is removed, its place stays valid
				fatal(t, h.store.Accounts.Remove(id, time.Now()))
			}
		}
		var more bool
		if after, more = a.body["next"].(string); !more {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the pages hold %v, want %v", got, want)
	}
	for _, list := range []string{"/accounts", "/devices", "/tokens", "/notifications"} {
		h.call(h.anna.full, "GET", list+"?after=bm9uZQ", nil, 422).wantFields(t, "after")
		h.call(h.anna.full, "GET", list+"?after=x!", nil, 422).wantFields(t, "after")
		h.call(h.anna.full, "GET", list+"?limit=0", nil, 422).wantFields(t, "limit")
		h.call(h.anna.full, "GET", list+"?limit=201", nil, 422).wantFields(t, "limit")
		h.call(h.anna.full, "GET", list+"?limit=x", nil, 422).wantFields(t, "limit")
		h.call(h.anna.full, "GET", list+"?colour=red", nil, 422).wantFields(t, "colour")
	}
}

func accountShareEnds(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201)
	h.call(h.ben.full, "POST", "/accounts", mailbox(), 200)
	at := "/accounts/" + a.id()
	h.call(h.anna.full, "PATCH", at, object{"port": 1993, "password": password}, 200)
	h.call(h.ben.full, "GET", at, nil, 200)
	h.call(h.anna.full, "PATCH", at, object{"username": "anna-private", "password": password}, 200)
	h.call(h.ben.full, "GET", at, nil, 404)
	told := h.call(h.ben.full, "GET", "/notifications?limit=1", nil, 200)
	if items := told.body["items"].([]any); len(items) != 1 || items[0].(map[string]any)["code"] != "share_ended" ||
		items[0].(map[string]any)["params"].(map[string]any)["username"] != "anna" {
		t.Errorf("who shared it is told %s", told.raw)
	}
	b := h.call(h.anna.full, "PATCH", at, object{"username": "both", "password": password, "shared_with": []string{h.ben.id}}, 200)
	if fmt.Sprint(b.body["shared_with"], b.body["offered_to"]) != fmt.Sprint("[] ", []string{h.ben.id}) {
		t.Errorf("a share that was requested: %s", b.raw)
	}
}

func accountKeptBySharer(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(h *testServer, account string){
		"by its owner":   func(h *testServer, account string) { h.call(h.ben.full, "DELETE", "/accounts/"+account, nil, 204) },
		"with its owner": func(h *testServer, account string) { h.call(h.anna.full, "DELETE", "/users/"+h.ben.id, nil, 204) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestServer(t)
			dora := h.call(h.anna.full, "POST", "/users", object{"name": "Dora", "password": password}, 201).id()
			phone := h.call(h.anna.device, "POST", "/devices", fcmDevice(), 201).id()
			made := h.call(h.ben.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.anna.id, dora}), 201).id()
			h.accept(h.anna.full)
			remove(h, made)
			list := h.call(h.anna.device, "GET", "/notifications?limit=1", nil, 200)
			items := list.body["items"].([]any)
			if len(items) != 1 {
				t.Fatalf("Anna sees %s", list.raw)
			}
			n := items[0].(map[string]any)
			params := n["params"].(map[string]any)
			if n["kind"] != "attention" || n["code"] != "share_ended" || n["account"] != nil || fmt.Sprint(params) != "map[account:anna@example.net host:imap.example.net port:993 security:tls username:anna]" ||
				!strings.HasPrefix(n["text"].(string), "anna@example.net: it no longer rings for you") || strings.Contains(list.raw, password) {
				t.Errorf("it is %s", list.raw)
			}
			if deliveries := n["deliveries"].([]any); len(deliveries) != 1 || deliveries[0].(map[string]any)["device"] != phone {
				t.Errorf("it rings %v", deliveries)
			}
			port, err := strconv.Atoi(params["port"].(string))
			fatal(t, err)
			again := object{"email": params["account"], "host": params["host"], "port": port, "security": params["security"], "username": params["username"], "password": password}
			if a := h.call(h.anna.full, "POST", "/accounts", again, 201); a.body["owner"] != h.anna.id {
				t.Errorf("added again it is %s", a.raw)
			}
		})
	}
}

func accountLeft(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	id := h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201).id()
	h.accept(h.ben.full)
	h.call(h.ben.full, "DELETE", "/accounts/"+id, nil, 204)
	h.call(h.anna.full, "DELETE", "/accounts/"+id, nil, 204)
	for token, before := range map[string]string{h.anna.full: "share_joined", h.ben.full: "share_offered"} {
		if list := h.call(token, "GET", "/notifications", nil, 200); len(list.body["items"].([]any)) != 1 || !strings.Contains(list.raw, before) {
			t.Errorf("they see %s", list.raw)
		}
	}
}

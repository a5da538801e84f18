package web

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"idlepush"
)

func TestExamine(t *testing.T) {
	t.Parallel()
	t.Run("its owner gets each step", examineOwner)
	t.Run("nobody else does, also those with whom it is shared, and admins", examineOthers)
	t.Run("it counts as a login, and ends in time", examineLimits)
}

// examining lets the server examine by do.
func (h *testServer) examining(do func(ctx context.Context, a idlepush.Account) []idlepush.Step) {
	h.handlers.accounts.mail.Examine = do
}

func examineOwner(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.examining(func(_ context.Context, a idlepush.Account) []idlepush.Step {
		if a.Password == "" {
			t.Error("it has no password")
		}
		return []idlepush.Step{
			{Verdict: idlepush.VerdictOK, Reason: idlepush.Reason{Code: "examined_greeting"}, Took: 1500 * time.Microsecond},
			{Verdict: idlepush.VerdictWrong, Reason: idlepush.Reason{Code: "login_refused"}.With("said", "no"), Took: time.Second},
		}
	})
	at := "/accounts/" + h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id() + "/examine"
	a := h.call(h.anna.full, "POST", at, nil, 200)
	want := fmt.Sprint([]any{
		map[string]any{"verdict": "ok", "code": "examined_greeting", "text": "an IMAP server greets", "milliseconds": 1.0},
		map[string]any{"verdict": "wrong", "code": "login_refused", "params": map[string]any{"said": "no"}, "text": `The server refuses the password. Enter it again. (the server says: "no")`, "milliseconds": 1000.0},
	})
	if got := fmt.Sprint(a.body["steps"]); got != want {
		t.Errorf("it is %s,\nwant %s", got, want)
	}
	h.examining(func(context.Context, idlepush.Account) []idlepush.Step { return nil })
	if a := h.call(h.anna.full, "POST", at, nil, 200); fmt.Sprint(a.body["steps"]) != "[]" {
		t.Errorf("without steps it is %s", a.raw)
	}
}

func examineOthers(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.examining(func(context.Context, idlepush.Account) []idlepush.Step {
		t.Error("it is examined")
		return nil
	})
	mine := h.call(h.ben.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.anna.id}), 201).id()
	h.call(h.anna.full, "POST", "/accounts/"+mine+"/examine", nil, 404) // an admin
	h.call(h.anna.full, "POST", "/offers/"+h.offers(h.anna.full)[0]["id"].(string)+"/accept", nil, 204)
	if a := h.call(h.anna.full, "POST", "/accounts/"+mine+"/examine", nil, 403); a.body["code"] != "not_owner" {
		t.Errorf("whom it is shared with gets %s", a.raw)
	}
}

func examineLimits(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *testServer) {
		h.examining(func(ctx context.Context, _ idlepush.Account) []idlepush.Step {
			<-ctx.Done()
			return []idlepush.Step{{Verdict: idlepush.VerdictWrong, Reason: idlepush.Reason{Code: "server_silent"}}}
		})
		at := "/accounts/" + h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id() + "/examine"
		began := time.Now()
		if a := h.call(h.anna.full, "POST", at, nil, 200); !strings.Contains(a.raw, "server_silent") || time.Since(began) != loginTimeout {
			h.t.Errorf("after %v it is %s", time.Since(began), a.raw)
		}
		h.examining(func(context.Context, idlepush.Account) []idlepush.Step { return nil })
		for range 20 {
			h.send(h.request(h.anna.full, "POST", at, nil))
		}
		h.call(h.anna.full, "POST", at, nil, 429)
	})
}

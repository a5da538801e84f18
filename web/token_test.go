package web

import (
	"strings"
	"testing"
)

func TestTokenShownOnce(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	made := h.call(h.anna.full, "POST", "/tokens", object{"name": "Phone", "scope": "device"}, 201)
	secret := made.body["token"].(string)
	h.call(secret, "GET", "/devices", nil, 200)
	list := h.call(h.anna.full, "GET", "/tokens", nil, 200)
	if strings.Contains(list.raw, secret) {
		t.Error("the list shows the token")
	}
	if first := list.body["items"].([]any)[0].(map[string]any); first["id"] != made.id() {
		t.Errorf("the newest is not first: %s", list.raw)
	}
	h.call(h.anna.full, "DELETE", "/tokens/"+made.id(), nil, 204)
	h.call(secret, "GET", "/devices", nil, 401)
	h.call(h.anna.full, "DELETE", "/tokens/"+made.id(), nil, 404)
	h.call(adminToken, "POST", "/tokens", object{"name": "x", "scope": "full", "user": "nobody"}, 422).wantFields(t, "user")
	if strings.Contains(h.log.String(), "idlepush_") {
		t.Error("the log holds a token")
	}
}

package web

import (
	"encoding/base64"
	"net/http"
	"testing"

	"idlepush"
	"idlepush/registry"
)

// sample returns a preview whose text names its content level.
func sample(d idlepush.Device) (PushRequest, *registry.Outcome) {
	return PushRequest{Method: "POST", URL: "https://push.example.net/HIDDEN", Header: http.Header{"Topic": {"id"}, "Authorization": {"HIDDEN"}},
		Body: []byte(`{"level":"` + string(d.Content) + `"}`), Readable: []string{"how large it is"}}, nil
}

func TestPreview(t *testing.T) {
	t.Parallel()
	t.Run("it shows the request that the service would receive", previewRequest)
	t.Run("a binary body is in base64, with its plaintext", previewBinaryBody)
	t.Run("if there can be none, it says why", previewImpossible)
}

func previewRequest(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.device, "POST", "/devices", browser().with("content", "sender"), 201).id() + "/preview"
	a := h.call(h.anna.device, "GET", at, nil, 200)
	if a.body["transport"] != "webpush" || a.body["service"] != "push.example.net" || a.body["method"] != "POST" || a.body["url"] != "https://push.example.net/HIDDEN" ||
		a.body["body"] != `{"level":"sender"}` || a.body["body_encoding"] != "text" || a.body["content"] != "sender" || a.body["plaintext"] != nil {
		t.Errorf("it says %s", a.raw)
	}
	headers := a.body["headers"].([]any)
	if first := headers[0].(map[string]any); len(headers) != 2 || first["name"] != "Authorization" || first["value"] != "HIDDEN" {
		t.Errorf("headers %v", headers)
	}
	for _, level := range []string{"wake", "sender", "subject", "preview"} {
		if a := h.call(h.anna.full, "GET", at+"?content="+level, nil, 200); a.body["body"] != `{"level":"`+level+`"}` || a.body["content"] != level {
			t.Errorf("at %s it says %s", level, a.raw)
		}
	}
	if h.proved != 1 || h.tested != 0 {
		t.Error("something was sent")
	}
	if got := h.call(h.anna.full, "GET", at[:len(at)-len("/preview")], nil, 200).body["content"]; got != "sender" {
		t.Errorf("the device's level is now %v", got)
	}
}

func previewBinaryBody(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", browser(), 201).id() + "/preview"
	cipher := []byte{0xff, 0, 1}
	h.set(func() {
		h.preview = func(d idlepush.Device) (PushRequest, *registry.Outcome) {
			r, _ := sample(d)
			r.Body, r.Plaintext = cipher, []byte(`{"v":1}`)
			return r, nil
		}
	})
	a := h.call(h.anna.full, "GET", at, nil, 200)
	if a.body["body"] != base64.StdEncoding.EncodeToString(cipher) || a.body["body_encoding"] != "base64" || a.body["plaintext"] != `{"v":1}` {
		t.Errorf("it says %s", a.raw)
	}
}

func previewImpossible(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id() + "/preview"
	a := h.call(h.anna.full, "GET", at+"?content=everything", nil, 422)
	if field := a.body["errors"].([]any)[0].(map[string]any); field["field"] != "content" {
		t.Errorf("it says %s", a.raw)
	}
	h.call(h.ben.full, "GET", at, nil, 404)
	h.set(func() {
		h.preview = func(idlepush.Device) (PushRequest, *registry.Outcome) {
			return PushRequest{}, &registry.Outcome{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "fcm_not_configured"}}
		}
	})
	if a := h.call(h.anna.full, "GET", at, nil, 409); a.body["code"] != "fcm_not_configured" || a.body["detail"] != "this server has no credentials for fcm" {
		t.Errorf("it says %s", a.raw)
	}
}

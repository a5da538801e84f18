package services_test

import (
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// previewed returns the preview of a device at the level.
func (st *setup) previewed(t *testing.T, name string, level idlepush.Level) push.Request {
	t.Helper()
	d := st.devices[name]
	d.Content = level
	dispatcher := push.Dispatcher{Transports: st.transports, URL: func() string { return home }}
	r, refusal := dispatcher.Preview(d)
	if refusal != nil {
		t.Fatalf("%s: %+v", name, *refusal)
	}
	return r
}

func TestPreview(t *testing.T) {
	t.Run("it lists what the service can read", previewReadable)
	t.Run("it omits nothing that a service reads", previewComplete)
	t.Run("a transport without credentials has none", previewNotConfigured)
	t.Run("if there is none, it has the outcome of a send", previewRefused)
}

// The sample's words must be listed exactly if they are sent in the clear.
func previewReadable(t *testing.T) {
	st := offlineSetup(t)
	parts := map[string]idlepush.Level{"Ann Example": idlepush.LevelSender, "Dinner on Sunday?": idlepush.LevelSubject, "Shall we say at eight?": idlepush.LevelPreview, "INBOX": idlepush.LevelSender, "unread: 3": idlepush.LevelSender}
	for name, d := range st.devices {
		encrypted := d.Keys != nil
		for _, level := range pushtest.EveryLevel {
			r := st.previewed(t, name, level)
			readable := strings.Join(r.Readable(), "\n")
			for part, least := range parts {
				if want := !encrypted && level.Allows(least); strings.Contains(readable, part) != want {
					t.Errorf("%s at %s: that the service reads %q is %v:\n%s", name, level, part, !want, readable)
				}
			}
			if encrypted != (r.Plaintext != nil) {
				t.Errorf("%s at %s: encrypted is %v, plaintext %s", name, level, encrypted, r.Plaintext)
			}
			if id := registry.StableID("sample", "INBOX", 1, 1); strings.Contains(readable, id) != strings.Contains(string(r.Body)+r.Header.Get("Topic")+r.Header.Get("Apns-Collapse-Id"), id) {
				t.Errorf("%s at %s: the id is not said as it is:\n%s", name, level, readable)
			}
		}
	}
}

func previewComplete(t *testing.T) {
	st := offlineSetup(t)
	r := st.previewed(t, "apns", idlepush.LevelPreview)
	r.Header.Set("X-New", "of a header")
	r.Body = []byte(`{"aps":{"alert":{"title":"Ann"},"new-field":{"inner":["a","b"]}}}`)
	lines := r.Readable()
	for _, want := range []string{"the title that is shown: Ann", "inner: [a b]", "X-New: of a header"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not among\n%s", want, strings.Join(lines, "\n"))
		}
	}
	// Every field that is sent has a Meaning.
	for name := range st.devices {
		for _, line := range st.previewed(t, name, idlepush.LevelPreview).Readable() {
			if field, _, said := strings.Cut(line, ": "); said && !strings.Contains(field, " ") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func previewNotConfigured(t *testing.T) {
	st := offlineSetup(t)
	st.transports = slices.DeleteFunc(st.transports, func(t push.Transport) bool { return t.Traits().Name == fcm.Name })
	d := push.Dispatcher{Transports: st.transports, URL: func() string { return "" }}
	if _, refusal := d.Preview(st.devices["fcm"]); refusal == nil || refusal.Code != "transport_unknown" || refusal.Params["transport"] != "fcm" {
		t.Errorf("%+v", refusal)
	}
}

func previewRefused(t *testing.T) {
	st := offlineSetup(t)
	d := push.Dispatcher{Transports: st.transports, URL: func() string { return "" }}
	bad := &idlepush.Keys{P256dh: "AAAA", Auth: "AAAA"}
	for name, code := range map[string]codes.Code{"fcm": "fcm_encryption", "apns": "apns_encryption", "webpush": "webpush_keys_invalid"} {
		device := st.devices[name]
		device.Keys = bad
		if _, refusal := d.Preview(device); refusal == nil || refusal.Code != code {
			t.Errorf("%s: %+v, want %s", name, refusal, code)
		}
	}
}

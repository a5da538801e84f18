package push

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"idlepush/registry"
)

// Hidden stands in a Request for what nobody needs to see: a token, the path of an endpoint, what authorizes.
const Hidden = "HIDDEN"

// Request is what a service receives with one message, without its secrets and without what HTTP itself adds on the way (Host,
// Content-Length, Accept-Encoding).
type Request struct {
	Method    string
	URL       string
	Header    http.Header
	Body      []byte
	Plaintext []byte // what is encrypted in Body, for the device alone; nil: nothing is
}

// RequestOf is the request that was about to be made, with that body.
func RequestOf(r *http.Request, body, plaintext []byte) Request {
	return Request{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone(), Body: body, Plaintext: plaintext}
}

// Preview gives the request that the device's service would receive for a sample mail, at the device's level; or the outcome, where
// there can be none. Nothing is sent.
func (d *Dispatcher) Preview(device registry.Device) (Request, *registry.Outcome) {
	s, ok := d.Senders[device.Transport]
	if !ok {
		return Request{}, new(notConfigured(device.Transport))
	}
	return s.Preview(device, Render(sample(device, time.Now()), d.URL()))
}

// sample is a mail as it could come now.
func sample(device registry.Device, now time.Time) registry.Work {
	const account, folder = "sample", "INBOX"
	return registry.Work{Device: device, Mailbox: "you@example.org", Unread: new(3), Notification: registry.Notification{
		ID: registry.StableID(account, folder, 1, 1), Kind: registry.MailKind, Account: account, Folder: folder, At: now, Expires: now.Add(registry.MailKind.Lifetime()),
		Content: registry.Content{From: "Ann Example", Subject: "Dinner on Sunday?", Preview: "Shall we say at eight? Bring the plum cake."}}}
}

// meanings are the headers and the fields of a body that tell a service something, in words, what tells most first. Of a header the name is
// canonical, so that none is taken for a field.
var meanings = []struct{ name, words string }{
	{"from", "the sender"},
	{"subject", "the subject"},
	{"preview", "the first words"},
	{"title", "the title that is shown"},
	{"body", "the text that is shown"},
	{"folder", "the folder"},
	{"count", "how many mails came"},
	{"unread", "how many mails are unread"},
	{"badge", "how many mails are unread"},
	{"code", "what needs attention"},
	{"kind", "what kind of notification it is"},
	{"account", "the id of the account"},
	{"thread-id", "the id of the account"},
	{"at", "when the mail came"},
	{"clear", "the ids of what is taken away"},
	{"id", "the id of the notification"},
	{"Topic", "the id of the notification"},
	{"Apns-Collapse-Id", "the id of the notification"},
	{"Apns-Id", "the id of this push"},
	{"Apns-Topic", "the app"},
	{"Urgency", "how urgent it is"},
	{"Apns-Priority", "how urgent it is"},
	{"priority", "how urgent it is"},
	{"Ttl", "how many seconds it may be kept"},
	{"ttl", "how many seconds it may be kept"},
	{"Apns-Expiration", "until when it may be kept"},
}

// formal are the headers and fields that are the same for every mail, or Hidden, or ciphertext.
var formal = []string{"v", "token", "encrypted", "sound", "mutable-content", "content-available", "interruption-level", "Authorization", "Content-Type",
	"Content-Encoding", "User-Agent", "Apns-Push-Type", "X-Goog-Api-Format-Version"}

// Readable says in words what the service reads of the request: everything in its headers, and in its body but for what is encrypted.
func (r Request) Readable() []string {
	found := make(map[string]string)
	for name := range r.Header {
		found[name] = r.Header.Get(name)
	}
	var body any
	if json.Unmarshal(r.Body, &body) == nil {
		gather(found, "", body)
	}
	size := "how large it is"
	if r.Plaintext != nil {
		size = "how large it is, in steps of 256 bytes"
	}
	lines := []string{"which server sends it, to which device and when", size}
	for _, m := range meanings {
		if value, ok := found[m.name]; ok {
			lines = append(lines, m.words+": "+value)
		}
		delete(found, m.name)
	}
	for _, name := range formal {
		delete(found, name)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		lines = append(lines, name+": "+found[name])
	}
	return slices.Compact(lines)
}

// gather adds the fields of a JSON value. FCM's idlepush is JSON within a text.
func gather(found map[string]string, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, value := range v {
			gather(found, name, value)
		}
		return
	case string:
		var inner any
		if name == "idlepush" && json.Unmarshal([]byte(v), &inner) == nil {
			gather(found, "", inner)
			return
		}
	}
	found[name] = fmt.Sprint(value)
}

package push

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry"
)

// Hidden replaces secrets in a Request: a token, the path of an endpoint, an authorization.
const Hidden = "HIDDEN"

// Request is the request to a service with one message, without secrets and without the headers
// that HTTP adds (Host, Content-Length, Accept-Encoding).
type Request struct {
	Method    string
	URL       string
	Header    http.Header
	Body      []byte
	Plaintext []byte // of the ciphertext in Body; nil: Body has no ciphertext

	meanings []Meaning // of the transport
}

// RequestOf returns the Request for an HTTP request that was not sent.
func RequestOf(r *http.Request, body, plaintext []byte) Request {
	return Request{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone(), Body: body, Plaintext: plaintext}
}

// Preview returns the request that the device's service would receive for a sample mail, at the
// device's level; or the outcome, if there can be none. Nothing is sent.
func (d *Dispatcher) Preview(device idlepush.Device) (Request, *registry.Outcome) {
	t, ok := d.Transports.Named(device.Transport)
	if !ok {
		return Request{}, new(unknown(device.Transport))
	}
	r, refusal := t.Preview(device, Render(sample(device, time.Now()), d.URL(), d.Codes))
	r.meanings = t.Traits().Meanings
	return r, refusal
}

// sampleReceipt is as long as a token is.
var sampleReceipt = idlepush.Secret(strings.Repeat("A", 104))

// sample returns the delivery of a sample mail at now.
func sample(device idlepush.Device, now time.Time) registry.Work {
	const account, folder = "sample", "INBOX"
	return registry.Work{Device: device, Account: idlepush.Account{Email: "you@example.org"}, Unread: new(3), Receipt: sampleReceipt, Notification: idlepush.Notification{
		ID: registry.StableID(account, folder, 1, 1), Kind: idlepush.KindMail, Account: account, Folder: folder, At: now, Expires: now.Add(idlepush.KindMail.Lifetime()),
		Content: idlepush.Content{From: "Ann Example", Subject: "Dinner on Sunday?", Preview: "Shall we say at eight? Bring the plum cake."}}}
}

// meanings are those of the fields of a payload, the most telling first.
var meanings = []Meaning{
	{"from", "the sender"},
	{"subject", "the subject"},
	{"preview", "the first words"},
	{"title", "the title that is shown"},
	{"body", "the text that is shown"},
	{"folder", "the folder"},
	{"mailbox", "the name of the mailbox"},
	{"color", "the color of the mailbox"},
	{"sound", "the sound"},
	{"count", "how many mails came"},
	{"unread", "how many mails are unread"},
	{"code", "what needs attention"},
	{"kind", "what kind of notification it is"},
	{"account", "the id of the account"},
	{"at", "when the mail came"},
	{"clear", "the ids of what is taken away"},
	{"silent", "whether it makes no sound"},
	{"loud", "whether it breaks through the quiet of the phone"},
	{"receipt", "where the device reports that it came"},
	{"id", "the id of the notification"},
	{"v", ""},
}

// headers are the meanings of what every transport may send.
var headers = []Meaning{{"Authorization", ""}, {"Content-Type", ""}, {"Content-Encoding", ""}, {"User-Agent", ""}}

// Readable lists, in words, all that the service can read of the request: its headers, and its body
// except for ciphertext. A header or field without a Meaning is listed by its name.
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
	for _, m := range slices.Concat(meanings, r.meanings, headers) {
		value, ok := found[m.Name]
		delete(found, m.Name)
		if line := m.Words + ": " + value; ok && m.Words != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		lines = append(lines, name+": "+found[name])
	}
	return lines
}

// gather adds the fields of a JSON value to found. The field idlepush may be a string of JSON.
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

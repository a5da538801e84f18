package street

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/api"
	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// Household is a daemon with three accounts and six phones, at least one on each transport. All
// phones get full previews.
type Household struct {
	*Street
	Mailboxes []string                   // user names at the mail server
	Phones    map[registry.Secret]string // names by token or endpoint
	Letters   []Letter                   // all delivered mails, in order
}

// Letter is the content of a mail.
type Letter struct{ From, Subject, Text string }

// NewHousehold starts a Household. At the end of the test it checks that FCM and APNs got no words
// of mails in plain text.
func NewHousehold(t *testing.T, program Program) *Household {
	t.Helper()
	h := &Household{Street: New(t, program), Phones: make(map[registry.Secret]string)}
	t.Cleanup(func() { h.checkEncrypted(t) })
	h.Start(t)
	h.SetUp(t)
	for _, user := range []string{"anna", "ben", "carla"} {
		h.Mail.AddUser(t, user, h.Mail.Password)
		account := h.Account()
		account["username"], account["email"] = user, user+"@example.org"
		Must(t, h.Client.Post(testenv.Context(t), "/accounts", account, nil))
		h.Mailboxes = append(h.Mailboxes, user)
	}
	for i := range 2 {
		android, err := pushtest.NewReceiver()
		Must(t, err)
		iphone, err := pushtest.NewReceiver()
		Must(t, err)
		token := h.FCM.Register(android)
		h.addDevice(t, object{"name": "android", "transport": "fcm", "token": token, "encryption": api.Keys(android.Keys()), "content": "preview"})
		h.Phones[registry.Secret(token)] = fmt.Sprint("android ", i)
		token = h.APNs.Register(iphone)
		h.addDevice(t, object{"name": "iphone", "transport": "apns", "token": token, "encryption": api.Keys(iphone.Keys()), "content": "preview"})
		h.Phones[registry.Secret(token)] = fmt.Sprint("iphone ", i)
	}
	h.fetchVAPIDKey(t)
	h.Phones[h.subscribe(t, "firefox", "webpush", registry.Preview)] = "firefox"
	h.Phones[h.subscribe(t, "fairphone", "unifiedpush", registry.Preview)] = "fairphone"
	h.Watching(t, len(h.Mailboxes))
	return h
}

// Write delivers count mails, to each mailbox in turn.
func (h *Household) Write(t *testing.T, count int) {
	t.Helper()
	for range count {
		n := len(h.Letters)
		mailbox := h.Mailboxes[n%len(h.Mailboxes)]
		l := Letter{fmt.Sprintf("Größe %d 🐢", n%7), fmt.Sprintf("%s %d: „Äpfel“ <b>&amp;", mailbox, n), fmt.Sprintf("Words of mail %d, with ünïcode.", n)}
		h.Mail.Deliver(t, mailbox, "INBOX", fmt.Appendf(nil, "From: %s <someone@example.org>\r\nSubject: %s\r\nMessage-ID: <%d@example.org>\r\n"+
			"Date: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", l.From, l.Subject, n, time.Now().Format(time.RFC1123Z), l.Text))
		h.Letters = append(h.Letters, l)
	}
}

// inMailboxes returns the mails of each mailbox in the order of their UIDs, which may differ from
// the order of delivery.
func (h *Household) inMailboxes(t *testing.T) [][]Letter {
	t.Helper()
	var all [][]Letter
	count := 0
	for _, mailbox := range h.Mailboxes {
		var list []Letter
		for line := range strings.Lines(h.Mail.Doveadm(t, mailbox, "-f", "flow", "fetch", "hdr.message-id", "mailbox", "INBOX")) {
			_, id, _ := strings.Cut(line, "<")
			number, _, _ := strings.Cut(id, "@")
			n, err := strconv.Atoi(number)
			Must(t, err)
			list = append(list, h.Letters[n])
		}
		all, count = append(all, list), count+len(list)
	}
	if count != len(h.Letters) {
		t.Fatalf("the server has %d of %d mails", count, len(h.Letters))
	}
	return all
}

// checkEncrypted checks that no request to FCM and APNs contains words of a mail. Ciphertext cannot
// contain these by chance: each is long, or has a character that base64 lacks.
func (h *Household) checkEncrypted(t *testing.T) {
	t.Helper()
	text := h.requests.String()
	for _, word := range []string{"Größe", `Gr\u00f6`, "🐢", "Äpfel", `\u00c4pfel`, "someone", "Words of mail", "ünïcode", `\u00efcode`} {
		if strings.Contains(text, word) {
			t.Errorf("FCM or APNs got the word %q of a mail", word)
		}
	}
	if len(h.Letters) > 0 && (!strings.Contains(text, `"encrypted":"`) || strings.Count(text, "/messages:send") == 0 || strings.Count(text, "/3/device/") == 0) {
		t.Error("FCM or APNs got no notification")
	}
}

// Ring is a push as a phone reads it.
type Ring struct {
	ID, Kind, Account, From, Subject, Preview string
	Clear                                     []string // ids of notifications to remove
	At                                        time.Time
}

// Decode reads a payload of FCM or APNs.
func Decode(t *testing.T, payload []byte) (r Ring) {
	t.Helper()
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("a payload is not JSON: %v", err)
	}
	return r
}

// DecodeWeb reads a push of Web Push or UnifiedPush, and checks its topic.
func DecodeWeb(t *testing.T, m pushtest.WebPushMessage) Ring {
	t.Helper()
	var shape struct{ Idlepush json.RawMessage }
	if err := json.Unmarshal(m.Body, &shape); err != nil {
		t.Fatalf("the body of a web push is not JSON: %v", err)
	}
	r := Decode(t, shape.Idlepush)
	if r.ID != m.Topic {
		t.Errorf("the topic is %s, want the id %s", m.Topic, r.ID)
	}
	return r
}

// pushes returns the pushes of one kind to each phone, in order of arrival.
func (h *Household) pushes(t *testing.T, kind registry.Kind) map[string][]Ring {
	t.Helper()
	all := make(map[string][]Ring)
	add := func(address registry.Secret, r Ring) {
		if r.Kind == string(kind) {
			all[h.Phones[address]] = append(all[h.Phones[address]], r)
		}
	}
	for _, m := range h.FCM.Messages() {
		add(m.Token, Decode(t, m.Payload))
	}
	for _, m := range h.APNs.Messages() {
		add(m.Token, Decode(t, m.Payload))
	}
	for _, m := range h.Web.Messages() {
		add(m.Endpoint, DecodeWeb(t, m))
	}
	return all
}

// Rang returns the pushes of mails to each phone, in order of arrival.
func (h *Household) Rang(t *testing.T) map[string][]Ring {
	t.Helper()
	return h.pushes(t, registry.MailKind)
}

// Clears returns the ids in the clear pushes to each phone.
func (h *Household) Clears(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for phone, list := range h.pushes(t, registry.ClearKind) {
		for _, r := range list {
			all[phone] = append(all[phone], r.Clear...)
		}
	}
	return all
}

// WaitAll waits until every phone has got every mail.
func (h *Household) WaitAll(t *testing.T) {
	t.Helper()
	testenv.Await(t, "every phone has got every mail", func() error {
		all := h.Rang(t)
		for _, phone := range h.Phones {
			if n := len(Once(all[phone])); n < len(h.Letters) {
				return fmt.Errorf("%s has got %d of %d mails", phone, n, len(h.Letters))
			}
		}
		return nil
	})
}

// Once returns the list without pushes that repeat an id.
func Once(list []Ring) (first []Ring) {
	seen := make(map[string]bool)
	for _, r := range list {
		if !seen[r.ID] {
			seen[r.ID] = true
			first = append(first, r)
		}
	}
	return first
}

// Complete checks that every phone got each mail, with its content and under the same id. All
// phones must get them in the same order, and each mailbox in the order of its UIDs.
func (h *Household) Complete(t *testing.T) {
	t.Helper()
	kept := h.inMailboxes(t)
	var order []string
	got := h.Rang(t)
	if len(got) != len(h.Phones) {
		t.Errorf("%d of %d phones got mails", len(got), len(h.Phones))
	}
	for phone, list := range got {
		list = Once(list)
		byAccount := make(map[string][]Letter)
		var ids []string
		for _, r := range list {
			byAccount[r.Account] = append(byAccount[r.Account], Letter{r.From, r.Subject, r.Preview})
			ids = append(ids, r.ID)
		}
		if order == nil {
			order = ids
		}
		if !slices.Equal(ids, order) {
			t.Errorf("%s got the mails in another order than the others", phone)
		}
		for account, letters := range byAccount {
			if i := slices.IndexFunc(kept, func(list []Letter) bool { return slices.Equal(letters, list) }); i < 0 {
				t.Errorf("%s got %d mails of account %s, which are not those of a mailbox in order: %+v", phone, len(letters), account, letters)
			}
		}
		if len(byAccount) != len(h.Mailboxes) {
			t.Errorf("%s got mails of %d of %d mailboxes", phone, len(byAccount), len(h.Mailboxes))
		}
	}
}

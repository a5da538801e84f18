package systemtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/api"
	"idlepush/push/pushtest"
	"idlepush/registry/testenv"
)

// Scenario is a daemon with three accounts and six phones, at least one on each transport. All
// phones get full previews.
type Scenario struct {
	*System
	Mailboxes []string                   // user names at the mail server
	Phones    map[idlepush.Secret]string // names by token or endpoint
	Sent      []Message                  // all delivered mails, in order
}

// Message is the content of a mail.
type Message struct{ From, Subject, Text string }

// NewScenario starts a Scenario. At the end of the test it checks that FCM and APNs got no words
// of mails in plain text.
func NewScenario(t *testing.T, program Program) *Scenario {
	t.Helper()
	s := &Scenario{System: New(t, program), Phones: make(map[idlepush.Secret]string)}
	t.Cleanup(func() { s.checkEncrypted(t) })
	s.Start(t)
	s.SetUp(t)
	for _, user := range []string{"anna", "ben", "carla"} {
		s.Mail.AddUser(t, user, s.Mail.Password)
		account := s.Account()
		account["username"], account["email"] = user, user+"@example.org"
		Must(t, s.Client.Post(testenv.Context(t), "/accounts", account, nil))
		s.Mailboxes = append(s.Mailboxes, user)
	}
	for i := range 2 {
		android, err := pushtest.NewReceiver()
		Must(t, err)
		iphone, err := pushtest.NewReceiver()
		Must(t, err)
		token := s.FCM.Register(android)
		s.addDevice(t, object{"name": "android", "transport": "fcm", "token": token, "encryption": api.Keys(android.Keys()), "content": "preview"})
		s.Phones[idlepush.Secret(token)] = fmt.Sprint("android ", i)
		token = s.APNs.Register(iphone)
		s.addDevice(t, object{"name": "iphone", "transport": "apns", "token": token, "encryption": api.Keys(iphone.Keys()), "content": "preview"})
		s.Phones[idlepush.Secret(token)] = fmt.Sprint("iphone ", i)
	}
	s.fetchVAPIDKey(t)
	s.Phones[s.subscribe(t, "firefox", "webpush", idlepush.LevelPreview)] = "firefox"
	s.Phones[s.subscribe(t, "fairphone", "unifiedpush", idlepush.LevelPreview)] = "fairphone"
	s.WaitWatched(t, len(s.Mailboxes))
	return s
}

// DeliverMails delivers count mails, to each mailbox in turn.
func (s *Scenario) DeliverMails(t *testing.T, count int) {
	t.Helper()
	for range count {
		n := len(s.Sent)
		mailbox := s.Mailboxes[n%len(s.Mailboxes)]
		m := Message{fmt.Sprintf("Größe %d 🐢", n%7), fmt.Sprintf("%s %d: „Äpfel“ <b>&amp;", mailbox, n), fmt.Sprintf("Words of mail %d, with ünïcode.", n)}
		s.Mail.Deliver(t, mailbox, "INBOX", fmt.Appendf(nil, "From: %s <someone@example.org>\r\nSubject: %s\r\nMessage-ID: <%d@example.org>\r\n"+
			"Date: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", m.From, m.Subject, n, time.Now().Format(time.RFC1123Z), m.Text))
		s.Sent = append(s.Sent, m)
	}
}

// inMailboxes returns the mails of each mailbox in the order of their UIDs, which may differ from
// the order of delivery.
func (s *Scenario) inMailboxes(t *testing.T) [][]Message {
	t.Helper()
	var all [][]Message
	count := 0
	for _, mailbox := range s.Mailboxes {
		var list []Message
		for line := range strings.Lines(s.Mail.Doveadm(t, mailbox, "-f", "flow", "fetch", "hdr.message-id", "mailbox", "INBOX")) {
			_, id, _ := strings.Cut(line, "<")
			number, _, _ := strings.Cut(id, "@")
			n, err := strconv.Atoi(number)
			Must(t, err)
			list = append(list, s.Sent[n])
		}
		all, count = append(all, list), count+len(list)
	}
	if count != len(s.Sent) {
		t.Fatalf("the server has %d of %d mails", count, len(s.Sent))
	}
	return all
}

// checkEncrypted checks that no request to FCM and APNs contains words of a mail. Ciphertext cannot
// contain these by chance: each is long, or has a character that base64 lacks.
func (s *Scenario) checkEncrypted(t *testing.T) {
	t.Helper()
	text := s.requests.String()
	for _, word := range []string{"Größe", `Gr\u00f6`, "🐢", "Äpfel", `\u00c4pfel`, "someone", "Words of mail", "ünïcode", `\u00efcode`} {
		if strings.Contains(text, word) {
			t.Errorf("FCM or APNs got the word %q of a mail", word)
		}
	}
	if len(s.Sent) > 0 && (!strings.Contains(text, `"encrypted":"`) || strings.Count(text, "/messages:send") == 0 || strings.Count(text, "/3/device/") == 0) {
		t.Error("FCM or APNs got no notification")
	}
}

// Push is a push as a phone reads it.
type Push struct {
	ID, Kind, Account, From, Subject, Preview string
	Clear                                     []string // ids of notifications to remove
	At                                        time.Time
}

// DecodePush reads a payload of FCM or APNs.
func DecodePush(t *testing.T, payload []byte) (r Push) {
	t.Helper()
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("a payload is not JSON: %v", err)
	}
	return r
}

// DecodeWebPush reads a push of Web Push or UnifiedPush, and checks its topic.
func DecodeWebPush(t *testing.T, m pushtest.WebPushMessage) Push {
	t.Helper()
	var shape struct{ Idlepush json.RawMessage }
	if err := json.Unmarshal(m.Body, &shape); err != nil {
		t.Fatalf("the body of a web push is not JSON: %v", err)
	}
	r := DecodePush(t, shape.Idlepush)
	if r.ID != m.Topic {
		t.Errorf("the topic is %s, want the id %s", m.Topic, r.ID)
	}
	return r
}

// pushes returns the pushes of one kind to each phone, in order of arrival.
func (s *Scenario) pushes(t *testing.T, kind idlepush.Kind) map[string][]Push {
	t.Helper()
	all := make(map[string][]Push)
	add := func(address idlepush.Secret, r Push) {
		if r.Kind == string(kind) {
			all[s.Phones[address]] = append(all[s.Phones[address]], r)
		}
	}
	for _, m := range s.FCM.Messages() {
		add(m.Token, DecodePush(t, m.Payload))
	}
	for _, m := range s.APNs.Messages() {
		add(m.Token, DecodePush(t, m.Payload))
	}
	for _, m := range s.Web.Messages() {
		add(m.Endpoint, DecodeWebPush(t, m))
	}
	return all
}

// MailPushes returns the pushes of mails to each phone, in order of arrival.
func (s *Scenario) MailPushes(t *testing.T) map[string][]Push {
	t.Helper()
	return s.pushes(t, idlepush.KindMail)
}

// ClearedIDs returns the ids in the clear pushes to each phone.
func (s *Scenario) ClearedIDs(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for phone, list := range s.pushes(t, idlepush.KindClear) {
		for _, r := range list {
			all[phone] = append(all[phone], r.Clear...)
		}
	}
	return all
}

// WaitDelivered waits until every phone has got every mail.
func (s *Scenario) WaitDelivered(t *testing.T) {
	t.Helper()
	testenv.Await(t, "every phone has got every mail", func() error {
		all := s.MailPushes(t)
		for _, phone := range s.Phones {
			if n := len(Unique(all[phone])); n < len(s.Sent) {
				return fmt.Errorf("%s has got %d of %d mails", phone, n, len(s.Sent))
			}
		}
		return nil
	})
}

// Unique returns the list without pushes that repeat an id.
func Unique(list []Push) (first []Push) {
	seen := make(map[string]bool)
	for _, r := range list {
		if !seen[r.ID] {
			seen[r.ID] = true
			first = append(first, r)
		}
	}
	return first
}

// CheckComplete checks that every phone got each mail, with its content and under the same id. All
// phones must get them in the same order, and each mailbox in the order of its UIDs.
func (s *Scenario) CheckComplete(t *testing.T) {
	t.Helper()
	kept := s.inMailboxes(t)
	var order []string
	got := s.MailPushes(t)
	if len(got) != len(s.Phones) {
		t.Errorf("%d of %d phones got mails", len(got), len(s.Phones))
	}
	for phone, list := range got {
		list = Unique(list)
		byAccount := make(map[string][]Message)
		var ids []string
		for _, r := range list {
			byAccount[r.Account] = append(byAccount[r.Account], Message{r.From, r.Subject, r.Preview})
			ids = append(ids, r.ID)
		}
		if order == nil {
			order = ids
		}
		if !slices.Equal(ids, order) {
			t.Errorf("%s got the mails in another order than the others", phone)
		}
		for account, messages := range byAccount {
			if i := slices.IndexFunc(kept, func(list []Message) bool { return slices.Equal(messages, list) }); i < 0 {
				t.Errorf("%s got %d mails of account %s, which are not those of a mailbox in order: %+v", phone, len(messages), account, messages)
			}
		}
		if len(byAccount) != len(s.Mailboxes) {
			t.Errorf("%s got mails of %d of %d mailboxes", phone, len(byAccount), len(s.Mailboxes))
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"idlepush/push/pushtest"
	"idlepush/registry"
)

// household is a street with three mailboxes and six phones, at least one on each transport, all of which may read everything.
type household struct {
	*street
	mailboxes []string                   // their users at the mail server
	phones    map[registry.Secret]string // names, by token or endpoint
	letters   []letter                   // that were sent, to one mailbox after the other
}

// letter is what a mail says.
type letter struct{ from, subject, text string }

// newHousehold starts it. Whatever the test does, neither Google nor Apple may see what a mail says.
func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{street: newStreet(t), phones: make(map[registry.Secret]string)}
	t.Cleanup(func() { h.unread(t) })
	h.start(t)
	h.setUp(t)
	for _, user := range []string{"anna", "ben", "carla"} {
		h.mail.AddUser(t, user, h.mail.Password)
		account := h.account()
		account["username"], account["email"] = user, user+"@example.org"
		h.must(t, h.client.post(t.Context(), "/accounts", account, nil))
		h.mailboxes = append(h.mailboxes, user)
	}
	for i := range 2 {
		android, err := pushtest.NewReceiver()
		h.must(t, err)
		iphone, err := pushtest.NewReceiver()
		h.must(t, err)
		token := h.fcm.Register(android)
		h.device(t, object{"name": "android", "transport": "fcm", "token": token, "encryption": keys(android.Keys()), "content": "preview"})
		h.phones[registry.Secret(token)] = fmt.Sprint("android ", i)
		token = h.apns.Register(iphone)
		h.device(t, object{"name": "iphone", "transport": "apns", "token": token, "encryption": keys(iphone.Keys()), "content": "preview"})
		h.phones[registry.Secret(token)] = fmt.Sprint("iphone ", i)
	}
	h.learnVAPID(t)
	h.phones[h.subscribe(t, "firefox", registry.WebPush, registry.Preview)] = "firefox"
	h.phones[h.subscribe(t, "fairphone", registry.UnifiedPush, registry.Preview)] = "fairphone"
	h.watching(t, len(h.mailboxes))
	return h
}

// write delivers so many mails, to one mailbox after the other.
func (h *household) write(t *testing.T, count int) {
	t.Helper()
	for range count {
		n := len(h.letters)
		mailbox := h.mailboxes[n%len(h.mailboxes)]
		l := letter{fmt.Sprintf("Größe %d 🐢", n%7), fmt.Sprintf("%s %d: „Äpfel“ <b>&amp;", mailbox, n), fmt.Sprintf("Words of mail %d, with ünïcode.", n)}
		h.mail.Deliver(t, mailbox, "INBOX", fmt.Appendf(nil, "From: %s <someone@example.org>\r\nSubject: %s\r\nMessage-ID: <%d@example.org>\r\n"+
			"Date: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", l.from, l.subject, n, time.Now().Format(time.RFC1123Z), l.text))
		h.letters = append(h.letters, l)
	}
}

// kept gives the letters of each mailbox in the order that the server has given them, which may be another than that in which they came.
func (h *household) kept(t *testing.T) [][]letter {
	t.Helper()
	var all [][]letter
	count := 0
	for _, mailbox := range h.mailboxes {
		var list []letter
		for line := range strings.Lines(h.mail.Doveadm(t, mailbox, "-f", "flow", "fetch", "hdr.message-id", "mailbox", "INBOX")) {
			_, id, _ := strings.Cut(line, "<")
			number, _, _ := strings.Cut(id, "@")
			n, err := strconv.Atoi(number)
			h.must(t, err)
			list = append(list, h.letters[n])
		}
		all, count = append(all, list), count+len(list)
	}
	if count != len(h.letters) {
		t.Fatalf("the server has %d of %d mails", count, len(h.letters))
	}
	return all
}

// unread holds what FCM and APNs were sent to holding no word of a mail. None of the words may come about in ciphertext by chance: each has a character that is not of base64, or is
// long.
func (h *household) unread(t *testing.T) {
	t.Helper()
	text := h.vendors.String()
	for _, word := range []string{"Größe", `Gr\u00f6`, "🐢", "Äpfel", `\u00c4pfel`, "someone", "Words of mail", "ünïcode", `\u00efcode`} {
		if strings.Contains(text, word) {
			t.Errorf("FCM or APNs was sent the word %q of a mail", word)
		}
	}
	if len(h.letters) > 0 && (!strings.Contains(text, `"encrypted":"`) || strings.Count(text, "/messages:send") == 0 || strings.Count(text, "/3/device/") == 0) {
		t.Error("FCM and APNs were sent nothing")
	}
}

// rang is what each phone has decrypted of mail, in order of arrival.
func (h *household) rang(t *testing.T) map[string][]rung {
	t.Helper()
	all := make(map[string][]rung)
	note := func(address registry.Secret, r rung) {
		if r.Kind == string(registry.MailKind) {
			all[h.phones[address]] = append(all[h.phones[address]], r)
		}
	}
	for _, m := range h.fcm.Messages() {
		note(m.Token, decode(t, m.Payload))
	}
	for _, m := range h.apns.Messages() {
		note(m.Token, decode(t, m.Payload))
	}
	for _, m := range h.web.Messages() {
		note(m.Endpoint, webRung(t, m))
	}
	return all
}

// waitAll waits until every phone has rung for every mail.
func (h *household) waitAll(t *testing.T) {
	t.Helper()
	total := len(h.letters)
	eventually(t, "every mail has rung every phone", func() bool {
		all := h.rang(t)
		for _, list := range all {
			if len(once(list)) < total {
				return false
			}
		}
		return len(all) == len(h.phones)
	})
}

// once gives what rang, without what rang again under the same id.
func once(list []rung) (first []rung) {
	seen := make(map[string]bool)
	for _, r := range list {
		if !seen[r.ID] {
			seen[r.ID] = true
			first = append(first, r)
		}
	}
	return first
}

// complete holds every phone to this: each mail rang, under one id, in the order of its mailbox and in the same order as on the other phones,
// with the words that were sent.
func (h *household) complete(t *testing.T) {
	t.Helper()
	kept := h.kept(t)
	var order []string
	for phone, list := range h.rang(t) {
		list = once(list)
		heard := make(map[string][]letter)
		var ids []string
		for _, r := range list {
			heard[r.Account] = append(heard[r.Account], letter{r.From, r.Subject, r.Preview})
			ids = append(ids, r.ID)
		}
		if order == nil {
			order = ids
		}
		if !slices.Equal(ids, order) {
			t.Errorf("%s heard another order than the others", phone)
		}
		for account, letters := range heard {
			if i := slices.IndexFunc(kept, func(list []letter) bool { return slices.Equal(letters, list) }); i < 0 {
				t.Errorf("%s heard of account %s %d mails, and no mailbox got just these in this order: %+v", phone, account, len(letters), letters)
			}
		}
		if len(heard) != len(h.mailboxes) {
			t.Errorf("%s heard of %d mailboxes", phone, len(heard))
		}
	}
}

func TestTwoHundredMailsInBurstsRingSixPhonesOnceEachInOrder(t *testing.T) {
	h := newHousehold(t)
	for range 8 {
		h.write(t, 25)
		pause := time.NewTimer(rand.N(300 * time.Millisecond))
		<-pause.C
	}
	h.waitAll(t)
	h.complete(t)
	for phone, list := range h.rang(t) {
		if len(list) != 200 {
			t.Errorf("%s rang %d times", phone, len(list))
		}
	}
	h.stop(t)
	h.noSecrets(t, "Äpfel", "Größe", "Words of mail")
}

// kills is how often the daemon is killed while 200 mails come.
const kills = 50

func TestNothingIsLostAndNothingRingsUnderTwoIDsWhenTheDaemonIsKilledFiftyTimes(t *testing.T) {
	h := newHousehold(t)
	for kill := range kills {
		h.write(t, 200/kills)
		if kill%2 == 0 {
			// Dovecot tells of them 500 ms later, so this hits login, search, record, sends and settling alike.
			moment := time.NewTimer(rand.N(900 * time.Millisecond))
			<-moment.C
		} else {
			// A push is out and its outcome not yet written.
			before := h.web.Requests()
			eventually(t, "a push is on its way", func() bool { return h.web.Requests() > before })
		}
		h.kill(t)
		h.start(t)
	}
	h.waitAll(t)
	h.stop(t)
	h.complete(t)
	pushes, again := 0, 0
	for _, list := range h.rang(t) {
		pushes += len(list)
		again += len(list) - len(once(list))
	}
	t.Logf("%d pushes, %d of them again under the same id", pushes, again)
	h.noSecrets(t, "Äpfel", "Größe", "Words of mail")
}

func TestPushServicesThatAreDownForAWhileLoseNothing(t *testing.T) {
	h := newHousehold(t)
	h.fcm.Fail("", pushtest.Fault{Status: 503})
	h.apns.Fail("", pushtest.Fault{Status: 503, Reason: "ServiceUnavailable"})
	h.web.Fail("", pushtest.Fault{Status: 503})
	h.write(t, 9)
	eventually(t, "each service was tried", func() bool {
		return h.web.Requests() > 2 && h.apns.Requests() > 2 && h.fcm.Requests() > 3
	})
	h.stop(t)
	h.start(t)
	h.fcm.Heal()
	h.apns.Heal()
	h.web.Heal()
	h.waitAll(t)
	h.complete(t)
}

// TestNeitherGoogleNorAppleSeesASenderASubjectOrAWord: newHousehold holds every test to it; here are all kinds of push that a day brings.
func TestNeitherGoogleNorAppleSeesASenderASubjectOrAWord(t *testing.T) {
	h := newHousehold(t)
	h.write(t, 6)
	h.waitAll(t)
	h.mail.Doveadm(t, h.mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	h.mail.AddUser(t, h.mailboxes[1], "another")
	h.mail.DropConnections(t, h.mailboxes[1])
	for _, kind := range []registry.Kind{registry.TestKind, registry.MailKind, registry.ClearKind, registry.AttentionKind} {
		eventually(t, "both have brought a push of the kind "+string(kind), func() bool {
			google, apple := h.fcm.Messages(), h.apns.Messages()
			return slices.ContainsFunc(google, func(m pushtest.FCMMessage) bool { return decode(t, m.Payload).Kind == string(kind) }) &&
				slices.ContainsFunc(apple, func(m pushtest.APNsMessage) bool { return decode(t, m.Payload).Kind == string(kind) })
		})
	}
}

func TestSIGTERMEndsTheDaemonWithinTenSecondsWithNothingLost(t *testing.T) {
	h := newHousehold(t)
	h.fcm.Fail("", pushtest.Fault{Hang: true})
	h.apns.Fail("", pushtest.Fault{Hang: true})
	h.web.Fail("", pushtest.Fault{Hang: true, Times: 1})
	h.write(t, 6)
	eventually(t, "a push hangs at each service", func() bool {
		return h.web.Requests() > 2 && h.apns.Requests() > 2 && h.fcm.Requests() > 3
	})
	began := time.Now()
	h.stop(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it ended after %v", took)
	}
	h.fcm.Heal()
	h.apns.Heal()
	h.web.Heal()
	h.start(t)
	h.waitAll(t)
	h.complete(t)
}

func TestMailReadOnAnotherClientIsTakenAwayFromJustThePhonesThatWereTold(t *testing.T) {
	h := newHousehold(t)
	late := h.fcm.Messages()[0].Token
	h.fcm.Fail(string(late), pushtest.Fault{Status: 503})
	h.write(t, 1)
	subject := h.letters[0].subject
	var id string
	eventually(t, "all phones but one have rung", func() bool {
		all := h.rang(t)
		for _, list := range all {
			id = list[0].ID
		}
		return len(all) == len(h.phones)-1
	})
	h.mail.Doveadm(t, h.mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	eventually(t, "the phones that can are asked to take it away", func() bool { return len(h.clears(t)) == 4 })
	h.fcm.Heal()
	h.write(t, 1)
	eventually(t, "the next mail rings all phones", func() bool {
		for _, list := range h.rang(t) {
			if list[len(list)-1].Subject == subject {
				return false
			}
		}
		return len(h.rang(t)) == len(h.phones)
	})
	for phone, ids := range h.clears(t) {
		if len(ids) != 1 || ids[0] != id || phone == "firefox" || phone == h.phones[late] {
			t.Errorf("%s is to take away %v, want %s and none on a browser or on a phone that was never told", phone, ids, id)
		}
	}
	if got := h.rang(t)[h.phones[late]]; len(got) != 1 || got[0].Subject == subject {
		t.Errorf("the phone that was not told rang for %+v", got)
	}
	h.stop(t)
}

// clears is what each phone is asked to take away.
func (h *household) clears(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	note := func(address registry.Secret, payload []byte) {
		var p struct {
			Kind  string
			Clear []string
		}
		if err := json.Unmarshal(payload, &p); err != nil {
			t.Fatal(err)
		}
		if p.Kind == string(registry.ClearKind) {
			all[h.phones[address]] = append(all[h.phones[address]], p.Clear...)
		}
	}
	for _, m := range h.fcm.Messages() {
		note(m.Token, m.Payload)
	}
	for _, m := range h.apns.Messages() {
		note(m.Token, m.Payload)
	}
	for _, m := range h.web.Messages() {
		var shape struct{ Idlepush json.RawMessage }
		h.must(t, json.Unmarshal(m.Body, &shape))
		note(m.Endpoint, shape.Idlepush)
	}
	return all
}

package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

// ledger records which mails were sent to a mailbox, and which of them rang. Its methods may be
// called from several goroutines.
type ledger struct {
	repeats bool // the same notification may come again, which no person notices

	mu    sync.Mutex
	sent  []sentMail
	rung  []oneRing
	heard func() // called once, at the next ring; may be nil
}

// sentMail is a mail that must ring once on each phone.
type sentMail struct {
	subject string
	at      time.Time
}

// oneRing is a push about a mail that a phone got.
type oneRing struct {
	id      string // of the notification
	subject string
	phone   idlepush.Secret // its address
	at      time.Time
}

// oldMails are unread mails that are in the mailbox from the beginning, and must not ring.
func oldMails() (list []imaptest.Message) {
	for uid := range uint32(3) {
		list = append(list, message(fmt.Sprint("old mail ", uid+1), time.Now().AddDate(0, 0, -7)))
		list[uid].UID = 101 + uid
	}
	return list
}

func message(subject string, at time.Time) imaptest.Message {
	return imaptest.Message{Date: at, Text: "Hello.\r\n", Header: fmt.Sprintf("From: Berta <berta@example.org>\r\nTo: anna@example.org\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@example.org>\r\n\r\n",
		subject, at.Format(time.RFC1123Z), rand.Text())}
}

// next returns a new mail.
func (l *ledger) next() imaptest.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := sentMail{fmt.Sprint("mail ", len(l.sent)+1), time.Now()}
	l.sent = append(l.sent, m)
	return message(m.subject, m.at)
}

// count returns how many mails were sent.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent)
}

// ring records a push that a phone got.
func (l *ledger) ring(phone idlepush.Secret, payload []byte, at time.Time) {
	var p struct{ ID, Kind, Subject string }
	if json.Unmarshal(payload, &p) != nil || p.Kind != string(idlepush.KindMail) {
		return
	}
	l.mu.Lock()
	l.rung = append(l.rung, oneRing{p.ID, p.Subject, phone, at})
	heard := l.heard
	l.heard = nil
	l.mu.Unlock()
	if heard != nil {
		heard()
	}
}

// atNextRing has heard called at the next ring, before the push service answers.
func (l *ledger) atNextRing(heard func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = heard
}

// first returns how long after its arrival a mail first rang on a phone, and how often it rang.
func (l *ledger) first(m sentMail, phone idlepush.Device) (after time.Duration, times int) {
	var ids []string
	for _, r := range l.rung {
		if r.subject != m.subject || r.phone != phone.Address || l.repeats && slices.Contains(ids, r.id) {
			continue
		}
		ids = append(ids, r.id)
		if times++; times == 1 {
			after = r.at.Sub(m.at)
		}
	}
	return after, times
}

// lost names the mails that have not rung on each of the phones yet; empty: all have.
func (l *ledger) lost(phones []idlepush.Device) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost, missing := 0, ""
	for _, m := range l.sent {
		var silent []string
		for _, p := range phones {
			if _, times := l.first(m, p); times == 0 {
				silent = append(silent, p.Name)
			}
		}
		if len(silent) > 0 {
			lost++
			missing += fmt.Sprintf("; %s did not ring on %s", m.subject, strings.Join(silent, ", "))
		}
	}
	if lost == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d mails%s", lost, len(l.sent), missing)
}

// wrong returns an error if a mail has rung twice on a phone, or one that must not ring at all.
func (l *ledger) wrong(phones []idlepush.Device) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.sent {
		for _, p := range phones {
			if _, times := l.first(m, p); times > 1 {
				return fmt.Errorf("%s rang %d times on %s", m.subject, times, p.Name)
			}
		}
	}
	for _, r := range l.rung {
		if !slices.ContainsFunc(l.sent, func(m sentMail) bool { return m.subject == r.subject }) {
			return fmt.Errorf("%s rang, which was there before", r.subject)
		}
	}
	return nil
}

// slowest returns the longest time that a mail has taken to ring, of those from the n-th on.
func (l *ledger) slowest(n int, phones []idlepush.Device) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.sent[n:] {
		for _, p := range phones {
			after, _ := l.first(m, p)
			longest = max(longest, after)
		}
	}
	return longest
}

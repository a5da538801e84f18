// Package ordeal holds a sender, the dispatcher and the queue to their promise: whatever a push service does to them for some minutes, no mail is lost and none
// is shown twice.
package ordeal

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"idlepush/push"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

// Service is a push service that is to fail, and the sender that is to cope.
type Service struct {
	Sender push.Transport
	Faults []func(address string) // each lets something happen, at one phone or, where it is empty, at all; none is a verdict on a message or a device
	Heal   func()
	Join   func() registry.Device // gives the service one more phone
	Pushes func() []Push          // all that the phones received
}

// Push is what a phone received.
type Push struct {
	Address registry.Secret
	Payload []byte // what the app reads
}

const (
	burstLimit = 5
	recovery   = 40 * time.Hour // for all that waits; much less than the life of a mail
)

// household is two mailboxes and three phones of one person, and the server that serves them.
type household struct {
	owner string // user id
	testing.TB
	Service
	rand     *rand.Rand
	log      *slog.Logger
	dir      string
	store    *registry.Store
	accounts []registry.Account
	phones   []registry.Device
	mails    []string // stable ids
	stop     func()
}

// Run must be called in a synctest bubble. It lives through a tenth of the faults, or all in a soak: in any order and for some minutes
// each, at all phones or at one, while mail comes, phones register anew and the server is started again; then it holds what the phones
// received to what came.
func Run(t testing.TB, s Service) {
	t.Helper()
	h := &household{TB: t, Service: s, rand: testenv.Rand(t)}
	dir, anna, _ := registrytest.DirWithUsers(t)
	h.dir, h.owner = dir, anna.ID
	h.log, _ = registrytest.NewLog(t)
	h.open()
	defer func() { h.store.Close() }()
	for i := range 2 {
		a, _, err := h.store.Accounts.Add(registry.Account{Owner: h.owner, Email: fmt.Sprintf("box%d@example.org", i), Host: "imap.example.org", Port: 993,
			Security: registry.TLS, Username: fmt.Sprint("box", i), Password: registrytest.SecretMarker, Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
		h.must(err)
		h.accounts = append(h.accounts, a)
	}
	for range 3 {
		h.phones = append(h.phones, s.Join())
	}
	for i := range h.phones {
		h.register(i)
	}
	h.start()
	defer func() { h.stop() }()
	h.rand.Shuffle(len(s.Faults), func(i, j int) { s.Faults[i], s.Faults[j] = s.Faults[j], s.Faults[i] })
	s.Faults = s.Faults[:testenv.Tenth(len(s.Faults))]
	for _, f := range s.Faults {
		address := ""
		if h.rand.IntN(2) == 0 {
			address = string(h.phones[h.rand.IntN(len(h.phones))].Address)
		}
		f(address)
		h.live(h.minutes(8))
		s.Heal()
		h.live(h.minutes(8))
	}
	time.Sleep(recovery)
	h.check()
}

func (h *household) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *household) minutes(most int) time.Duration {
	return time.Minute + time.Duration(h.rand.Int64N(int64(most)*int64(time.Minute)))
}

func (h *household) open() {
	h.Helper()
	h.store = registrytest.Open(h, h.dir)
}

// start runs a dispatcher on the store until stop is called.
func (h *household) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d := &push.Dispatcher{Store: h.store.Outbox, Transports: push.Transports{h.Sender},
		URL: func() string { return "" }, BurstLimit: burstLimit, Log: h.log}
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	h.stop = func() {
		cancel()
		running.Wait()
	}
}

// live lets so much time pass, with what happens in it.
func (h *household) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(h.rand.Int64N(int64(time.Minute))))
		switch n := h.rand.IntN(20); {
		case n == 0:
			h.mail(20)
		case n == 1:
			h.stop()
			h.must(h.store.Close())
			h.open()
			h.start()
		case n == 2: // as if it was killed: what is under way then is never written
			h.must(h.store.Close())
			h.stop()
			h.open()
			h.start()
		case n < 5:
			h.register(h.rand.IntN(len(h.phones)))
		case n < 17:
			h.mail(1 + h.rand.IntN(2))
		}
	}
}

// mail lets n mails come into one of the mailboxes.
func (h *household) mail(n int) {
	h.Helper()
	account := h.accounts[h.rand.IntN(len(h.accounts))].ID
	from, err := h.store.Mail.Cursor(account, "INBOX")
	h.must(err)
	a := registry.Arrival{Account: account, Folder: "INBOX", From: from, At: time.Now()}
	next := max(1, from.Next)
	for range n {
		a.Mails = append(a.Mails, registry.Message{UID: next, Content: registry.Content{From: "Bo", Subject: fmt.Sprint("Mail ", next)}})
		h.mails = append(h.mails, registry.StableID(account, "INBOX", 1, next))
		next++
	}
	a.To = registry.Cursor{UIDValidity: 1, Next: next}
	_, err = h.store.Mail.Record(a)
	h.must(err)
}

// register is what a phone does whenever its app is opened.
func (h *household) register(i int) {
	h.Helper()
	d := h.phones[i]
	d.Name, d.User, d.Content, d.Status.State = fmt.Sprint("phone ", i), h.owner, registry.Subject, registry.Proven
	var err error
	h.phones[i], _, err = h.store.Devices.Put(push.Transports{h.Sender}.Routed(d), "", time.Now())
	h.must(err)
}

// shown is what a phone shows: by stable id, how many mails each notification stands for, whatever number of times it came.
func (h *household) shown(d registry.Device) map[string]int {
	h.Helper()
	shown := make(map[string]int)
	for _, p := range h.Pushes() {
		if p.Address != d.Address {
			continue
		}
		var n struct {
			Kind  registry.Kind
			ID    string
			Count int
		}
		h.must(json.Unmarshal(p.Payload, &n))
		switch n.Kind {
		case registry.MailKind:
			shown[n.ID] = 1
		case registry.SummaryKind:
			if was, ok := shown[n.ID]; ok && was != n.Count {
				h.Errorf("a summary of %d mails came again as one of %d", was, n.Count)
			}
			shown[n.ID] = n.Count
		}
	}
	return shown
}

// check holds each phone to each mail: it shows the mail, or one summary that counts it, and never both.
func (h *household) check() {
	h.Helper()
	if len(h.mails) == 0 {
		h.Error("no mail came")
	}
	for _, d := range h.phones {
		shown, counted := h.shown(d), make(map[string]int)
		for _, id := range h.mails {
			n, err := h.store.History.Get(h.owner, id, time.Now())
			h.must(err)
			i := slices.IndexFunc(n.Deliveries, func(one registry.Delivery) bool { return one.Device == d.ID })
			if i < 0 {
				h.Fatalf("%s was never queued for %s", id, d.Name)
			}
			switch at := n.Deliveries[i]; {
			case at.State == registry.Delivered && shown[id] == 1:
				counted[id]++
			case at.State == registry.Combined && shown[id] == 0 && shown[at.Into] > 0:
				counted[at.Into]++
			default:
				h.Errorf("%s: a mail of %v is %s (%s), shown by itself %d times, and in a summary that stands for %d",
					d.Name, n.At, at.State, at.Code, shown[id], shown[at.Into])
			}
		}
		for id, n := range shown {
			if counted[id] != n {
				h.Errorf("%s shows %d mails in a notification that stands for %d", d.Name, n, counted[id])
			}
		}
		h.Logf("%s shows %d notifications of %d mails", d.Name, len(shown), len(h.mails))
	}
}

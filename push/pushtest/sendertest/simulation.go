package sendertest

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

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

const burstLimit = 5

// simulation is two accounts and three phones of one user, and the server that delivers to them.
type simulation struct {
	testing.TB
	transport push.Transport
	rand      *rand.Rand
	log       *slog.Logger
	dir       string
	store     *registry.Store
	owner     string // user id
	accounts  []idlepush.Account
	phones    []idlepush.Device
	mails     []string // stable ids
	stop      func()
}

// newSimulation starts a dispatcher. The caller must call close.
func newSimulation(t testing.TB, transport push.Transport, newDevice func() idlepush.Device) *simulation {
	t.Helper()
	s := &simulation{TB: t, transport: transport, rand: testenv.Rand(t)}
	dir, anna, _ := registrytest.DirWithUsers(t)
	s.dir, s.owner = dir, anna.ID
	s.log, _ = registrytest.NewLog(t)
	s.open()
	for i := range 2 {
		a, _, err := s.store.Accounts.Add(idlepush.Account{Owner: s.owner, Email: fmt.Sprintf("box%d@example.org", i),
			Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: fmt.Sprint("box", i),
			Password: registrytest.SecretMarker, Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
		s.must(err)
		s.accounts = append(s.accounts, a)
	}
	for range 3 {
		s.phones = append(s.phones, newDevice())
	}
	for i := range s.phones {
		s.register(i)
	}
	s.start()
	return s
}

func (s *simulation) close() {
	s.stop()
	s.store.Close()
}

func (s *simulation) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// minutes returns a time of at least one minute and less than most+1 minutes.
func (s *simulation) minutes(most int) time.Duration {
	return time.Minute + time.Duration(s.rand.Int64N(int64(most)*int64(time.Minute)))
}

func (s *simulation) open() {
	s.Helper()
	s.store = registrytest.Open(s, s.dir)
}

// start runs a dispatcher on the store until stop is called.
func (s *simulation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d := &push.Dispatcher{Store: s.store.Outbox, Transports: push.Transports{s.transport},
		URL: func() string { return "" }, BurstLimit: burstLimit, Log: s.log}
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	s.stop = func() {
		cancel()
		running.Wait()
	}
}

// pass lets the time pass. At random moments mail arrives, a phone registers or the server
// restarts.
func (s *simulation) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(s.rand.Int64N(int64(time.Minute))))
		switch n := s.rand.IntN(20); {
		case n == 0:
			s.mail(20)
		case n == 1:
			s.stop()
			s.must(s.store.Close())
			s.open()
			s.start()
		case n == 2: // like a kill: no outcome of a send in flight is written
			s.must(s.store.Close())
			s.stop()
			s.open()
			s.start()
		case n < 5:
			s.register(s.rand.IntN(len(s.phones)))
		case n < 17:
			s.mail(1 + s.rand.IntN(2))
		}
	}
}

// mail records n new mails in one of the accounts.
func (s *simulation) mail(n int) {
	s.Helper()
	account := s.accounts[s.rand.IntN(len(s.accounts))].ID
	from, err := s.store.Mail.Cursor(account, "INBOX")
	s.must(err)
	a := registry.Arrival{Account: account, Folder: "INBOX", From: from, At: time.Now()}
	next := max(1, from.Next)
	for range n {
		a.Mails = append(a.Mails, registry.Message{UID: next, Content: idlepush.Content{From: "Bo", Subject: fmt.Sprint("Mail ", next)}})
		s.mails = append(s.mails, registry.StableID(account, "INBOX", 1, next))
		next++
	}
	a.To = registry.Cursor{UIDValidity: 1, Next: next}
	_, err = s.store.Mail.Record(a)
	s.must(err)
}

// register registers the phone anew, as an app does whenever it is opened.
func (s *simulation) register(i int) {
	s.Helper()
	d := s.phones[i]
	d.Name, d.User, d.Content, d.Status.State = fmt.Sprint("phone ", i), s.owner, idlepush.LevelSubject, idlepush.StateProven
	var err error
	s.phones[i], _, err = s.store.Devices.Register(push.Transports{s.transport}.Routed(d), "", time.Now())
	s.must(err)
}

// shown returns what the phone shows: the number of mails that each notification stands for, by
// stable id. A push that came twice counts once.
func (s *simulation) shown(d idlepush.Device, pushes []Push) map[string]int {
	s.Helper()
	shown := make(map[string]int)
	for _, p := range pushes {
		if p.Address != d.Address {
			continue
		}
		var n struct {
			Kind  idlepush.Kind
			ID    string
			Count int
		}
		s.must(json.Unmarshal(p.Payload, &n))
		switch n.Kind {
		case idlepush.KindMail:
			shown[n.ID] = 1
		case idlepush.KindSummary:
			if was, ok := shown[n.ID]; ok && was != n.Count {
				s.Errorf("a summary of %d mails came again as one of %d", was, n.Count)
			}
			shown[n.ID] = n.Count
		}
	}
	return shown
}

// check fails the test unless each phone shows each mail once: by itself, or in one summary that
// counts it.
func (s *simulation) check(pushes []Push) {
	s.Helper()
	if len(s.mails) == 0 {
		s.Error("no mail came")
	}
	for _, d := range s.phones {
		shown, counted := s.shown(d, pushes), make(map[string]int)
		for _, id := range s.mails {
			n, err := s.store.History.Get(s.owner, id, time.Now())
			s.must(err)
			i := slices.IndexFunc(n.Deliveries, func(one idlepush.Delivery) bool { return one.Device == d.ID })
			if i < 0 {
				s.Fatalf("%s was never queued for %s", id, d.Name)
			}
			switch at := n.Deliveries[i]; {
			case at.State == idlepush.DeliveryDelivered && shown[id] == 1:
				counted[id]++
			case at.State == idlepush.DeliveryCombined && shown[id] == 0 && shown[at.Into] > 0:
				counted[at.Into]++
			default:
				s.Errorf("%s: a mail of %v is %s (%s), shown by itself %d times, and in a summary that stands for %d",
					d.Name, n.At, at.State, at.Code, shown[id], shown[at.Into])
			}
		}
		for id, n := range shown {
			if counted[id] != n {
				s.Errorf("%s shows %d mails in a notification that stands for %d", d.Name, n, counted[id])
			}
		}
		s.Logf("%s shows %d notifications of %d mails", d.Name, len(shown), len(s.mails))
	}
}

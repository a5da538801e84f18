package sendertest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

const burstLimit = 5

// simulation is two accounts and three phones of one user, and the server that delivers to them.
type simulation struct {
	*Server
	rand     *rand.Rand
	dir      string
	owner    string   // user id
	accounts []string // ids
	phones   []idlepush.Device
	mails    []string // stable ids
	stop     func()
}

// newSimulation starts a dispatcher. The caller must call close.
func newSimulation(t testing.TB, transport push.Transport, newDevice func() idlepush.Device) *simulation {
	t.Helper()
	dir, anna, _ := registrytest.DirWithUsers(t)
	s := &simulation{Server: &Server{TB: t, Transports: push.Transports{transport}, BurstLimit: burstLimit}, rand: testenv.Rand(t), dir: dir, owner: anna.ID}
	s.open()
	for i := range 2 {
		s.accounts = append(s.accounts, s.AddAccount(s.owner, fmt.Sprint("box", i)))
	}
	for range 3 {
		s.phones = append(s.phones, newDevice())
	}
	for i := range s.phones {
		s.register(i)
	}
	s.stop = s.Start()
	return s
}

func (s *simulation) close() {
	s.stop()
	s.Store.Close()
}

// minutes returns a time of at least one minute and less than most+1 minutes.
func (s *simulation) minutes(most int) time.Duration {
	return time.Minute + time.Duration(s.rand.Int64N(int64(most)*int64(time.Minute)))
}

func (s *simulation) open() {
	s.Helper()
	s.Store = registrytest.Open(s, s.dir)
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
			s.Must(s.Store.Close())
			s.open()
			s.stop = s.Start()
		case n == 2: // like a kill: no outcome of a send in flight is written
			s.Must(s.Store.Close())
			s.stop()
			s.open()
			s.stop = s.Start()
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
	s.mails = append(s.mails, s.Mail(s.accounts[s.rand.IntN(len(s.accounts))], n)...)
}

// register registers the phone anew, as an app does whenever it is opened.
func (s *simulation) register(i int) {
	s.Helper()
	s.phones[i] = s.Register(s.owner, fmt.Sprint("phone ", i), s.phones[i])
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
		s.Must(json.Unmarshal(p.Payload, &n))
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
			n, err := s.Store.History.Get(s.owner, id, time.Now())
			s.Must(err)
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

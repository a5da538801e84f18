package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

// testCodes has the codes of breaker_test.go too.
var testCodes = codes.Join(Codes, registry.Codes, []codes.Entry{
	{Code: "outage", Text: "The service is out of order."}, {Code: "bad_address", Text: "The service does not know the address."},
	{Code: "bad_key", Text: "The service refuses our key."}, {Code: "gone", Text: "The app was removed."},
	{Code: "too_large", Text: "The message is too large."},
})

// harness is an account with devices, their dispatcher, and the push service that they share. It
// must be made in the bubble.
type harness struct {
	testing.TB
	*service
	store      *registry.Store
	dir        string
	owner      string // user id
	other      string // another user
	clock      registrytest.Clock
	jumped     chan struct{} // as Dispatcher.Jumped
	account    idlepush.Account
	uid        uint32
	log        *slog.Logger
	lines      *registrytest.Log
	transports Transports
	limit      int // burst-limit
	measured   func(Sent)

	// fails reports whether the dispatcher's n-th transaction fails, from 1; nil: none does. It
	// must be set before run.
	fails        func(n int64) bool
	transactions atomic.Int64 // number of the dispatcher's transactions
}

// errDisk is the error of transactions that fail.
var errDisk = errors.New("the disk is out of order")

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{TB: t, jumped: make(chan struct{}, 1), service: &service{t: t, inFlight: make(map[string]int)}, uid: 1}
	dir, anna, ben := registrytest.DirWithUsers(t)
	h.dir, h.owner, h.other = dir, anna.ID, ben.ID
	h.log, h.lines = registrytest.NewLog(t)
	h.transports = Transports{stub{h.service, Traits{Name: "fcm"}},
		stub{h.service, Traits{Name: "apns", Limits: map[idlepush.Kind]Limit{idlepush.KindClear: {3, time.Hour}}}},
		stub{h.service, Traits{Name: "webpush", MustShow: true}}, stub{h.service, Traits{Name: "unifiedpush"}}}
	h.open()
	t.Cleanup(func() { h.store.Close() })
	h.addAccount("ann")
	return h
}

// addAccount adds an account. Mail arrives in the last one.
func (h *harness) addAccount(name string) {
	h.Helper()
	a, _, err := h.store.Accounts.Add(idlepush.Account{Owner: h.owner, Email: name + "@example.org", Host: "imap.example.org", Port: 993,
		Security: idlepush.SecurityTLS, Username: name, Password: "planted password", Folders: []string{"INBOX"}, Enabled: true}, "", h.clock.Now())
	if err != nil {
		h.Fatal(err)
	}
	h.account = a
}

func (h *harness) open() {
	h.Helper()
	h.unfailing(func() { h.store = registrytest.OpenFailing(h, h.dir, h.fault) })
}

// reopen closes and opens the store, like a restart.
func (h *harness) reopen() {
	h.Helper()
	if err := h.store.Close(); err != nil {
		h.Fatal(err)
	}
	h.open()
}

func (h *harness) fault() error {
	if h.fails == nil || within("(*harness).unfailing") || !h.fails(h.transactions.Add(1)) {
		return nil
	}
	return errDisk
}

// unfailing calls use, whose transactions never fail and are not counted. Transactions of the
// dispatcher can fail meanwhile.
func (h *harness) unfailing(use func()) { use() }

// phone registers an FCM device. All of them are in one lane.
func (h *harness) phone(name string) idlepush.Device {
	h.Helper()
	return h.register(idlepush.Device{Name: name, Transport: "fcm", Address: idlepush.Secret("planted token " + name), Content: idlepush.LevelPreview})
}

// browser registers a Web Push device, in the lane of its origin.
func (h *harness) browser(name, origin string) idlepush.Device {
	h.Helper()
	return h.register(idlepush.Device{Name: name, Transport: "webpush", Content: idlepush.LevelPreview,
		Address: idlepush.Secret(origin + "/planted-endpoint/" + name)})
}

func (h *harness) register(d idlepush.Device) idlepush.Device {
	h.Helper()
	d.User, d.Status.State = h.owner, idlepush.StateProven
	d, _, err := h.store.Devices.Register(h.transports.Routed(d), "", h.clock.Now())
	if err != nil {
		h.Fatal(err)
	}
	return d
}

// mail records n new mails and returns their ids.
func (h *harness) mail(n int) []string {
	h.Helper()
	var ids []string
	for n > 0 {
		step := min(n, registry.MaxMails)
		from, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
		if err != nil {
			h.Fatal(err)
		}
		a := registry.Arrival{Account: h.account.ID, Folder: "INBOX", From: from, At: h.clock.Now()}
		for range step {
			a.Mails = append(a.Mails, registry.Message{UID: h.uid,
				Content: idlepush.Content{From: "planted sender", Subject: fmt.Sprint("planted subject ", h.uid), Preview: "planted preview"}})
			ids = append(ids, registry.StableID(h.account.ID, "INBOX", 1, h.uid))
			h.uid++
		}
		a.To = registry.Cursor{UIDValidity: 1, Next: h.uid}
		if _, err := h.store.Mail.Record(a); err != nil {
			h.Fatal(err)
		}
		n -= step
	}
	return ids
}

// run starts a dispatcher on the store. stop ends it and waits for it, as does the end of the test.
func (h *harness) run() (stop func()) {
	ctx, cancel := context.WithCancel(h.Context())
	d := &Dispatcher{Store: h.store.Outbox, Transports: h.transports, Codes: testCodes, URL: func() string { return "https://push.example.org/" }, BurstLimit: h.limit,
		Jumped: h.jumped, Sent: h.measured, Log: h.log, Now: h.clock.Now}
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	h.Cleanup(stop)
	return stop
}

// after lets time pass in the bubble.
func after(wait time.Duration) {
	time.Sleep(wait)
	synctest.Wait()
}

// delivery returns the notification's delivery to the device.
func (h *harness) delivery(id string, d idlepush.Device) idlepush.Delivery {
	h.Helper()
	n, err := h.store.History.Get(h.owner, id, h.clock.Now())
	if err != nil {
		h.Fatal(err)
	}
	for _, one := range n.Deliveries {
		if one.Device == d.ID {
			return one
		}
	}
	h.Fatalf("notification %s was never queued for %s", id, d.Name)
	return idlepush.Delivery{}
}

// wantState fails the test if the delivery of one of the ids to the device is in another state.
func (h *harness) wantState(ids []string, d idlepush.Device, want idlepush.DeliveryState) {
	h.Helper()
	for i, id := range ids {
		if got := h.delivery(id, d); got.State != want {
			h.Errorf("delivery %d of %d to %s is %s (%s), want %s", i+1, len(ids), d.Name, got.State, got.Code, want)
		}
	}
}

// wantShown fails the test unless the device shows each of the mails: either by itself or counted
// in a summary. It must have received none more than most times.
func (h *harness) wantShown(ids []string, d idlepush.Device, most int) {
	h.Helper()
	times, counted := make(map[string]int), make(map[string]int)
	for _, id := range h.received(d) {
		if times[id]++; times[id] > most {
			h.Errorf("%s got the same %d times", d.Name, times[id])
		}
	}
	for i, id := range ids {
		switch at := h.delivery(id, d); {
		case at.State == idlepush.DeliveryDelivered && times[id] > 0:
		case at.State == idlepush.DeliveryCombined && times[id] == 0 && times[at.Into] > 0:
			counted[at.Into]++
		default:
			h.Errorf("mail %d of %d on %s is %s (%s), came %d times by itself, and %d times in a summary",
				i+1, len(ids), d.Name, at.State, at.Code, times[id], times[at.Into])
		}
	}
	for id, want := range counted {
		n, err := h.store.History.Get(h.owner, id, h.clock.Now())
		if err != nil {
			h.Fatal(err)
		}
		if n.Count != want {
			h.Errorf("%s shows a summary of %d mails, of which there are %d", d.Name, n.Count, want)
		}
	}
}

// lane returns the pause of a lane, or the zero Lane if it is not paused.
func (h *harness) lane(name string) registry.Lane {
	h.Helper()
	list, err := h.store.Devices.Lanes()
	if err != nil {
		h.Fatal(err)
	}
	for _, l := range list {
		if l.Name == name {
			return l
		}
	}
	return registry.Lane{}
}

// removeTransport removes a transport from the program.
func (h *harness) removeTransport(name idlepush.Transport) {
	h.transports = slices.DeleteFunc(h.transports, func(t Transport) bool { return t.Traits().Name == name })
}

// stub is a transport of a test.
type stub struct {
	Sender
	traits Traits
}

// CloseIdleConnections counts its calls.
func (s stub) CloseIdleConnections() {
	if s, ok := s.Sender.(*service); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed++
	}
}

func (s stub) Traits() Traits                          { return s.traits }
func (s stub) Check(idlepush.Device) error             { return nil }
func (s stub) Service(idlepush.Device) string          { return "stub.example" }
func (s stub) Examine(context.Context) []idlepush.Step { return nil }

// Lane returns the same lanes as the real transports.
func (s stub) Lane(d idlepush.Device) string {
	switch d.Transport {
	case "apns":
		return "apns " + cmp.Or(d.Params["environment"], "production")
	case "webpush", "unifiedpush":
		scheme, rest, _ := strings.Cut(string(d.Address), "://")
		host, _, _ := strings.Cut(rest, "/")
		return "webpush " + scheme + "://" + host
	}
	return string(d.Transport)
}

// service is a push service: a Sender that records its messages.
type service struct {
	t testing.TB

	mu       sync.Mutex
	answer   func(ctx context.Context, p sent) registry.Outcome // nil: everything is accepted
	all      []sent
	inFlight map[string]int // by device
	total    int
	most     int // maximum of total so far
	closed   int // calls of CloseIdleConnections, one for each transport
}

type sent struct {
	device  idlepush.Device
	message Message
	at      time.Time
	outcome registry.Result // set with the answer
}

var accepted = registry.Outcome{Result: registry.ResultDelivered}

func (s *service) answers(f func(ctx context.Context, p sent) registry.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Send fails the test if there are two sends to a device at the same time.
func (s *service) Send(ctx context.Context, d idlepush.Device, m Message) registry.Outcome {
	s.mu.Lock()
	s.inFlight[d.ID]++
	if s.inFlight[d.ID] > 1 {
		s.t.Errorf("%d sends to %s at once", s.inFlight[d.ID], d.Name)
	}
	s.total++
	s.most = max(s.most, s.total)
	i := len(s.all)
	p := sent{device: d, message: m, at: time.Now()}
	s.all = append(s.all, p)
	answer := s.answer
	s.mu.Unlock()
	o := accepted
	if answer != nil {
		o = answer(ctx, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight[d.ID]--
	s.total--
	s.all[i].outcome = o.Result
	return o
}

// sends returns those that began so far, in order.
func (s *service) sends() []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// mostInFlight returns the maximum of sends at once so far.
func (s *service) mostInFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// received returns the ids of the messages that the service accepted for the device, in order.
func (s *service) received(d idlepush.Device) (ids []string) {
	for _, p := range s.sends() {
		if p.device.ID == d.ID && p.outcome == registry.ResultDelivered {
			ids = append(ids, p.message.ID)
		}
	}
	return ids
}

// Preview returns the message's payload as body.
func (s *service) Preview(_ idlepush.Device, m Message) (Request, *registry.Outcome) {
	return Request{Body: m.Payload}, nil
}

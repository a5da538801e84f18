package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/watcher"
)

// told is a house with two people, of whom anna is the admin and has a phone and a browser, in a
// bubble.
type told struct {
	*testing.T
	dir            string
	store          *registry.Store
	house          *house
	phone, browser idlepush.Device // anna's
	bens           idlepush.Device
	full           atomic.Bool
	room           atomic.Uint64
	log            *registrytest.Log
	stop           func()
}

func TestTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*told){
		"a push service that takes nothing for an hour is told on a device of another, once, over a restart, until it is over": toldOfService,
		"a disk that is nearly full is told to admins, until it is over":                                                       toldOfDisk,
		"what cannot be written is logged once, and told once there is room":                                                   toldAfterFull,
		"a store that failed is tried until it works":                                                                          storeTried,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &told{T: t}
				var anna, ben idlepush.User
				s.dir, anna, ben = registrytest.DirWithUsers(t)
				s.room.Store(lowRoomEnds)
				s.start()
				defer func() { s.stop() }()
				s.phone, s.browser, s.bens = s.device(anna, "fcm"), s.device(anna, "https://push.example"), s.device(ben, "fcm")
				test(s)
			})
		})
	}
}

// start opens the store, and has people told until stop.
func (s *told) start() {
	s.Helper()
	var err error
	s.store, err = registry.Open(s.dir, registry.Options{NoSync: true, Full: func() error {
		if s.full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err != nil {
		s.Fatal(err)
	}
	s.house = newHouse(s.store, new(watcher.Pool), nil)
	s.house.room = func() (uint64, bool) { return s.room.Load(), true }
	log, lines := registrytest.NewLog(s.T)
	s.log = lines
	ctx, end := context.WithCancel(s.Context())
	var running sync.WaitGroup
	running.Go(func() { s.house.notify(ctx, log) })
	s.stop = func() {
		end()
		running.Wait()
		s.store.Close()
	}
}

// nextLook returns once the house was looked at again.
func nextLook() {
	time.Sleep(aliveLook)
	synctest.Wait()
}

func (s *told) device(u idlepush.User, lane string) idlepush.Device {
	s.Helper()
	d, _, err := s.store.Devices.Register(idlepush.Device{User: u.ID, Name: "device", Transport: "fcm", Address: idlepush.Secret(u.Name + lane), Lane: lane,
		Content: idlepush.LevelSubject, Status: idlepush.Status{State: idlepush.StateProven}}, "", time.Now())
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// sent returns what the device is sent now: the codes, and "clear" for what is taken away. If the
// first is not delivered, it is the only one.
func (s *told) sent(d idlepush.Device, as registry.Outcome) (list []string) {
	s.Helper()
	if err := s.store.Outbox.Withdraw(time.Now()); err != nil {
		s.Fatal(err)
	}
	for {
		w, ok, err := s.store.Outbox.Next(d.ID, time.Now())
		if err != nil {
			s.Fatal(err)
		}
		if !ok {
			return list
		}
		list = append(list, string(w.Notification.Code))
		if w.Notification.Kind == idlepush.KindClear {
			list[len(list)-1] = "clear"
		}
		if _, err := s.store.Outbox.Settle(w, as, time.Now()); err != nil {
			s.Fatal(err)
		}
		if as.Result != registry.ResultDelivered {
			return list
		}
	}
}

var taken = registry.Outcome{Result: registry.ResultDelivered, LaneWorks: true}

// rings checks what the devices are sent.
func (s *told) rings(when string, phone, browser, bens []string) {
	s.Helper()
	for _, one := range []struct {
		name string
		of   idlepush.Device
		want []string
	}{{"phone", s.phone, phone}, {"browser", s.browser, browser}, {"other person's phone", s.bens, bens}} {
		if got := s.sent(one.of, taken); !slices.Equal(got, one.want) {
			s.Errorf("%s the %s is sent %q, want %q", when, one.name, got, one.want)
		}
	}
}

func toldOfService(s *told) {
	account, _, err := s.store.Accounts.Add(idlepush.Account{Owner: s.phone.User, Email: "anna@example.org", Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: "anna", Password: "x", Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	if err == nil {
		_, err = s.store.Mail.Record(registry.Arrival{Account: account.ID, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2}, Mails: []registry.Message{{UID: 1}}, At: time.Now()})
	}
	if err != nil {
		s.Fatal(err)
	}
	pause := registry.Outcome{Result: registry.ResultMisconfigured, At: time.Now().Add(10 * time.Hour), PauseFor: 10 * time.Hour, Reason: idlepush.Reason{Code: "fcm_permission_denied"}}
	s.sent(s.phone, pause)
	s.sent(s.browser, taken)
	time.Sleep(time.Hour - time.Second)
	if got := s.sent(s.browser, taken); len(got) > 0 {
		s.Errorf("before an hour has passed the browser is sent %q", got)
	}
	nextLook()
	if got := s.sent(s.browser, taken); !slices.Equal(got, []string{"push_service_down"}) {
		s.Errorf("after an hour the browser is sent %q", got)
	}
	s.stop()
	time.Sleep(time.Minute)
	s.start()
	time.Sleep(3 * time.Hour)
	if got := s.sent(s.browser, taken); len(got) > 0 {
		s.Errorf("while it lasts the browser is sent %q", got)
	}
	time.Sleep(7 * time.Hour)
	if got := s.sent(s.phone, taken); !slices.Equal(got, []string{""}) {
		s.Errorf("once its service works the phone is sent %q, want only the mail", got)
	}
	nextLook()
	s.rings("once that is over", nil, []string{"clear"}, nil)
}

func toldOfDisk(s *told) {
	time.Sleep(time.Minute)
	s.rings("while there is room", nil, nil, nil)
	s.room.Store(lowRoom - 1)
	nextLook()
	s.rings("while it is nearly full", []string{"disk_low"}, []string{"disk_low"}, nil)
	s.stop()
	s.room.Store(lowRoom)
	s.start()
	time.Sleep(time.Hour)
	s.rings("as long as it lasts", nil, nil, nil)
	s.room.Store(lowRoomEnds)
	nextLook()
	s.rings("once there is room", []string{"clear"}, []string{"clear"}, nil)
}

func toldAfterFull(s *told) {
	s.full.Store(true)
	s.room.Store(0)
	time.Sleep(time.Hour)
	if n := strings.Count(s.log.String(), "\n"); n != 1 || !strings.Contains(s.log.String(), "cannot notify users") {
		s.Errorf("the log has %d lines: %s", n, s.log)
	}
	s.full.Store(false)
	nextLook()
	s.rings("once a little can be written", []string{"disk_low"}, []string{"disk_low"}, nil)
}

func storeTried(s *told) {
	s.full.Store(true)
	if s.store.Mail.PutHost("imap.example.org:993", registry.Host{Interval: time.Minute}) == nil || s.store.Ready() == nil {
		s.Fatal("the store was written")
	}
	s.full.Store(false)
	nextLook()
	if err := s.store.Ready(); err != nil || len(s.house.broken(time.Now())) > 0 {
		s.Errorf("the store does not work: %v", err)
	}
}

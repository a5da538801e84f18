package watcher

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/ring"
	"idlepush/watcher/imaptest"
)

// accepting is a push service that accepts everything, and counts what makes a sound.
type accepting struct {
	mu    sync.Mutex
	rings map[string]int // by device
}

func (s *accepting) Send(_ context.Context, d idlepush.Device, m push.Message) registry.Outcome {
	var p struct{ Silent bool }
	if json.Unmarshal(m.Payload, &p) == nil && !p.Silent {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rings[d.ID]++
	}
	return registry.Outcome{Result: registry.ResultDelivered}
}

func (s *accepting) Preview(idlepush.Device, push.Message) (push.Request, *registry.Outcome) {
	return push.Request{}, nil
}
func (s *accepting) Traits() push.Traits                     { return push.Traits{Name: "fcm"} }
func (s *accepting) Check(idlepush.Device) error             { return nil }
func (s *accepting) Lane(idlepush.Device) string             { return "fcm" }
func (s *accepting) Service(idlepush.Device) string          { return "" }
func (s *accepting) Examine(context.Context) []idlepush.Step { return nil }
func (s *accepting) CloseIdleConnections()                   {}

// replayBurst is the burst-limit of the week.
const replayBurst = 3

// TestReplayOfAWeek checks that the mail of a week, read from the mailbox and replayed with the
// wishes of then, rings as it really rang: each mail on each device for the same reason.
func TestReplayOfAWeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: "From: old@example.org\r\n" + subject("old"), Date: time.Now().Add(-240 * time.Hour)}}}
		h, pool, _, stop := pooled(t, script)
		defer stop()
		time.Sleep(time.Hour)
		service := &accepting{rings: make(map[string]int)}
		devices, wishes, on := replayWishes(t, h, push.Transports{service})
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			d := &push.Dispatcher{Store: h.store.Outbox, Transports: push.Transports{service}, Codes: codes.Join(push.Codes, registry.Codes, Codes),
				URL: func() string { return "" }, BurstLimit: replayBurst, Log: h.log}
			d.Run(ctx)
		})
		random := testenv.Rand(t)
		senders := []string{"Lena <lena@friends.example>", "Shop <news@shop.example>", "School <office@mail.school.example>", "Tom <tom@club.example>"}
		for n := range 150 {
			header := fmt.Sprintf("From: %s\r\nMessage-ID: <%d@x>\r\n%s", senders[random.IntN(len(senders))], n, subject(fmt.Sprint("mail ", n)))
			switch random.IntN(6) {
			case 0:
				header = "List-Id: <news.shop.example>\r\nList-Unsubscribe: <mailto:out@shop.example>\r\n" + header
			case 1:
				header = fmt.Sprintf("In-Reply-To: <%d@x>\r\nReferences: <0@x> <%d@x>\r\n", n-1, n-1) + header
			case 2:
				header = fmt.Sprintf("From: new%d@elsewhere.example\r\n", n) + header[len("From: "):]
			}
			flags := ""
			if random.IntN(10) == 0 {
				flags = "$Junk"
			}
			script.Deliver(imaptest.Message{Header: header, Text: "Words.\r\n", Flags: flags, Date: time.Now()})
			wait := time.Duration(random.Int64N(int64(3 * time.Hour)))
			if n%15 < 8 { // so many come within a minute
				wait = time.Duration(random.Int64N(int64(5 * time.Second)))
			}
			time.Sleep(wait)
		}
		time.Sleep(12 * time.Hour) // until nothing is held
		synctest.Wait()

		a, err := h.store.Accounts.Get(h.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		mails, err := pool.Recent(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		real := make(map[uint32]idlepush.Notification)
		for _, n := range h.all(t) {
			real[n.UID] = n
		}
		reasons := make(map[codes.Code]int)
		for i, d := range devices {
			replay := push.Replay(mails, d, a.ID, wishes, on[i], replayBurst, time.Now())
			for j, m := range mails {
				if n, recorded := real[m.UID]; recorded {
					reasons[wantReplayed(t, n, d, replay.Decisions[j], replay.Summed[j])]++
				}
			}
			if replay.Rings != service.rings[d.ID] {
				t.Errorf("%s rings %d times in the replay, and rang %d times", d.Name, replay.Rings, service.rings[d.ID])
			}
		}
		for _, code := range []codes.Code{"", "breaks_through", "burst", "junk", "person_matters", "quiet_hours", "rule"} {
			if reasons[code] == 0 {
				t.Errorf("the week shows nothing of %q: %v", code, reasons)
			}
		}
		end()
		running.Wait()
	})
}

// replayWishes registers devices, and stores wishes of theirs and of the mailbox.
func replayWishes(t *testing.T, h *harness, transports push.Transports) (devices []idlepush.Device, w ring.Wishes, on []ring.DeviceWishes) {
	t.Helper()
	w = ring.Wishes{
		People: []string{"@school.example"},
		Rules: []ring.Rule{
			{If: ring.Match{Bulk: new(true)}, Then: ring.Action{Ring: ring.VolumeSilent}},
			{If: ring.Match{First: new(true)}, Then: ring.Action{Ring: ring.VolumeNot}},
			{If: ring.Match{From: []string{"Lena"}}, Then: ring.Action{Ring: ring.VolumeLoud}},
		},
	}
	w, err := h.store.Accounts.SetWishes(h.account.Owner, h.account.ID, w, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nights := []ring.Hours{{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, From: 22 * 60, To: 7 * 60}}
	for i, quiet := range []ring.Quiet{{}, {Zone: "Europe/Berlin", Hours: nights, Mode: ring.QuietHold, People: true}, {Zone: "Asia/Kolkata", Hours: nights, Mode: ring.QuietSilent},
		{Zone: "America/New_York", Hours: nights, Mode: ring.QuietHold}} {
		d := transports.Routed(idlepush.Device{User: h.account.Owner, Name: fmt.Sprint("phone ", i), Transport: "fcm", Content: idlepush.LevelPreview,
			Address: idlepush.Secret(fmt.Sprint("planted token ", i)), Status: idlepush.Status{State: idlepush.StateProven}})
		d, _, err := h.store.Devices.Register(d, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		set, err := h.store.Devices.SetWishes(d.ID, ring.DeviceWishes{Quiet: quiet}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		devices, on = append(devices, d), append(on, set)
	}
	return devices, w, on
}

// wantReplayed fails the test unless a mail was replayed as it really rang on the device, and
// returns what decided.
func wantReplayed(t *testing.T, n idlepush.Notification, d idlepush.Device, got ring.Decision, summed bool) codes.Code {
	t.Helper()
	if n.Code != "" {
		if got.Verdict != ring.Not || got.Code != n.Code {
			t.Errorf("mail %d did not ring because of %s, and is replayed as %v because of %s", n.UID, n.Code, got.Verdict, got.Code)
		}
		return n.Code
	}
	for _, one := range n.Deliveries {
		if one.Device != d.ID {
			continue
		}
		was := one.Decision
		if was.Verdict == "" {
			was.Verdict = ring.Now
		}
		if got.Verdict != was.Verdict || got.Code != was.Code || !reflect.DeepEqual(got.Params, was.Params) || summed != (one.State == idlepush.DeliveryCombined) {
			t.Errorf("mail %d on %s was %s, %s because of %q %v, and is replayed as %s because of %q %v, in a summary: %v", n.UID, d.Name, one.State, was.Verdict, was.Code, was.Params, got.Verdict, got.Code, got.Params, summed)
		}
		if (got.Waited == nil) != (was.Waited == nil) || was.Waited != nil && got.Waited.Code != was.Waited.Code {
			t.Errorf("mail %d on %s waited for %+v, and is replayed as waiting for %+v", n.UID, d.Name, was.Waited, got.Waited)
		}
		if was.Code == "" && was.Waited != nil {
			return was.Waited.Code
		}
		return was.Code
	}
	t.Errorf("mail %d is not in the queue of %s", n.UID, d.Name)
	return ""
}

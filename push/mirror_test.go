package push

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

// TestRandomHouseholds holds what happens to two naive models: to Replay, where nobody reads mail
// or changes wishes, and else to what must be true of every mail on every device.
func TestRandomHouseholds(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	for i := range testenv.Tenth(1000) {
		seed := random.Uint64()
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &period{harness: newHarness(t), random: rand.New(rand.NewPCG(seed, 0)), came: make(map[string]came)}
				p.limit = []int{0, 1, 2, 5}[p.random.IntN(4)]
				if p.calm = i%2 == 0; !p.calm {
					p.phones = append(p.phones, p.phone("second"))
				}
				p.phones = append(p.phones, p.phone("phone"))
				p.live()
			})
		})
	}
}

// period is two days in a household.
type period struct {
	*harness
	random *rand.Rand
	calm   bool // nobody reads mail, changes wishes or restarts
	phones []idlepush.Device
	order  []string        // ids of the mails
	came   map[string]came // by id
	mails  []ring.Mail
}

// came is a mail as it came.
type came struct {
	at   time.Time
	uid  uint32
	read bool
}

var someSenders = []string{"ann@example.org", "ben@example.org", "news@example.com", "list@lists.example.net"}

// wishes returns random wishes of the account.
func (p *period) wishes() (w ring.Wishes) {
	one := func() []string { return []string{someSenders[p.random.IntN(len(someSenders))]} }
	if p.random.IntN(2) == 0 {
		w.People = one()
	}
	for range p.random.IntN(3) {
		volume := []ring.Volume{ring.VolumeNormal, ring.VolumeLoud, ring.VolumeSilent, ring.VolumeNot}[p.random.IntN(4)]
		w.Rules = append(w.Rules, ring.Rule{If: ring.Match{From: one()}, Then: ring.Action{Ring: volume}})
	}
	w.Otherwise.Ring = []ring.Volume{ring.VolumeNormal, ring.VolumeNormal, ring.VolumeNormal, ring.VolumeSilent}[p.random.IntN(4)]
	return w
}

// quiet returns random quiet hours.
func (p *period) quiet() ring.Quiet {
	q := ring.Quiet{Zone: []string{"UTC", "Europe/Berlin", "America/New_York"}[p.random.IntN(3)], Mode: []ring.QuietMode{ring.QuietHold, ring.QuietSilent}[p.random.IntN(2)], People: p.random.IntN(2) == 0}
	for range p.random.IntN(3) {
		q.Hours = append(q.Hours, ring.Hours{Days: everyNight.Hours[0].Days, From: p.random.IntN(24 * 60), To: p.random.IntN(24 * 60)})
	}
	return q
}

func (p *period) live() {
	p.wish(func(w *ring.Wishes) { *w = p.wishes() })
	for _, d := range p.phones {
		p.hush(d, p.quiet())
	}
	stop := p.run()
	for range 60 {
		p.arrives()
		if !p.calm {
			stop = p.happens(stop)
		}
		after(time.Duration(1+p.random.IntN([]int{20, 3600}[p.random.IntN(2)])) * time.Second)
	}
	if p.calm {
		p.wantReplayed()
	}
	// Whatever is held is released at once, and what failed is tried again.
	p.answers(nil)
	for _, d := range p.phones {
		p.hush(d, ring.Quiet{})
	}
	after(2 * time.Hour)
	stop()
	p.wantTrue()
}

// arrives records a mail.
func (p *period) arrives() {
	facts := ring.Facts{From: someSenders[p.random.IntN(len(someSenders))], Subject: "planted subject"}
	id := p.mailWith(registry.Message{Content: idlepush.Content{Subject: "planted subject"}, Facts: facts})
	n, err := p.store.History.Get(p.owner, id, time.Now())
	if err != nil {
		p.Fatal(err)
	}
	p.order = append(p.order, id)
	p.came[id] = came{at: time.Now(), uid: n.UID}
	p.mails = append(p.mails, ring.Mail{Folder: "INBOX", UID: n.UID, At: time.Now(), Facts: n.Facts})
}

// happens does one of the things that people do, or none.
func (p *period) happens(stop func()) func() {
	switch p.random.IntN(14) {
	case 0:
		p.wish(func(w *ring.Wishes) {
			revision := w.Revision
			*w = p.wishes()
			w.Revision = revision
		})
	case 1:
		p.hush(p.phones[p.random.IntN(len(p.phones))], p.quiet())
	case 2, 3, 4:
		id := p.order[p.random.IntN(len(p.order))]
		is := p.came[id]
		p.read(is.uid)
		is.read = true
		p.came[id] = is
	case 5:
		m := ring.Mute{Of: ring.MuteSender, Sender: someSenders[p.random.IntN(len(someSenders))], Until: time.Now().Add(time.Duration(p.random.IntN(600)) * time.Minute)}
		if _, err := p.store.Accounts.Mute(p.owner, p.account.ID, m, time.Now()); err != nil {
			p.Fatal(err)
		}
	case 6:
		stop()
		p.reopen()
		return p.run()
	case 7:
		p.answers(until(time.Now().Add(time.Duration(p.random.IntN(20))*time.Minute), func() registry.Outcome {
			if rand.IntN(2) == 0 { // several devices ask at once
				return retry()
			}
			return Unanswered("outage")
		}))
	}
	return stop
}

// wantReplayed holds what has happened to what Replay says.
func (p *period) wantReplayed() {
	p.Helper()
	for _, d := range p.phones {
		w, err := p.store.Accounts.Wishes(p.owner, p.account.ID)
		if err != nil {
			p.Fatal(err)
		}
		on, err := p.store.Devices.Wishes(d.ID)
		if err != nil {
			p.Fatal(err)
		}
		r := Replay(p.mails, d, p.account.ID, w, on, p.limit, time.Now())
		rings := 0
		for _, s := range p.sends() {
			if s.device.ID == d.ID && !s.message.Silent {
				rings++
			}
		}
		if rings != r.Rings {
			p.Errorf("it rang %d times, and would have %d times", rings, r.Rings)
		}
		for i, id := range p.order {
			got := p.delivery(id, d)
			if summed := got.State == idlepush.DeliveryCombined; summed != r.Summed[i] {
				p.Errorf("mail %d is %s, and would be counted in a summary: %v", i, got.State, r.Summed[i])
			}
			is, would := got.Decision, r.Decisions[i]
			if is.Verdict == "" {
				is.Verdict = ring.Now
			}
			if is.Until = is.Until.UTC(); !is.Until.Equal(would.Until) || is.Verdict != would.Verdict || is.Code != would.Code || is.Loud != would.Loud || !reflect.DeepEqual(is.Params, would.Params) {
				p.Errorf("mail %d was decided as %+v, and would be as %+v", i, is, would)
			}
		}
	}
}

// wantTrue holds each mail to be told of once on each device, or to say why not, and each summary
// to count what it stands for.
func (p *period) wantTrue() {
	p.Helper()
	for _, d := range p.phones {
		accepted, count := make(map[string]int), make(map[string]int)
		for _, id := range p.received(d) {
			accepted[id]++
		}
		for i, id := range p.order {
			got := p.delivery(id, d)
			right := false
			switch got.State {
			case idlepush.DeliveryDelivered:
				right = accepted[id] == 1
			case idlepush.DeliveryCombined:
				count[got.Into]++
				right = accepted[id] == 0 && (accepted[got.Into] == 1 || p.came[id].read)
			case idlepush.DeliveryCleared:
				right = p.came[id].read
			case idlepush.DeliverySkipped:
				right = got.Decision.Verdict == ring.Not && accepted[id] == 0
			}
			if !right {
				p.Errorf("mail %d on %s is %+v: accepted %d times by itself and %d times in a summary, read: %v", i, d.Name, got, accepted[id], accepted[got.Into], p.came[id].read)
			}
		}
		for id, want := range count {
			n, err := p.store.History.Get(p.owner, id, time.Now())
			if err != nil || n.Count != want {
				p.Errorf("a summary on %s counts %d, and %d mails went into it, %v", d.Name, n.Count, want, err)
			}
		}
	}
}

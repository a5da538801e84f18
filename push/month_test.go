package push

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

// month is a household whose mail of a month comes in a bubble.
type month struct {
	*harness
	people  []string // user ids, as members
	devices []idlepush.Device
	boxes   []idlepush.Account // one for each member, and one that all share
	next    []uint32           // UIDs of the boxes
}

func newMonth(t *testing.T) *month {
	m := &month{harness: newHarness(t)}
	m.limit = monthBurst
	m.people = []string{m.owner, m.other}
	for _, who := range members[2:] {
		_, code, err := m.store.Users.AddInvite(m.owner, registry.InviteForPerson, false, "", m.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		u, _, err := m.store.Users.Accept(code, who.name, "planted password of "+who.name, registry.Visit{}, m.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		m.people = append(m.people, u.ID)
	}
	m.boxes = []idlepush.Account{m.account}
	for i := range members[1:] {
		m.owner = m.people[i+1]
		m.addAccount(members[i+1].name)
		m.boxes = append(m.boxes, m.account)
	}
	m.owner = m.people[0]
	m.addAccount("family")
	m.account.OfferedTo = m.people[1:]
	shared, err := m.store.Accounts.Update(m.account, m.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.boxes, m.next = append(m.boxes, shared), make([]uint32, len(m.boxes)+1)
	for _, user := range m.people[1:] {
		offers, err := m.store.Accounts.Offers(user)
		if err != nil || len(offers) != 1 {
			t.Fatalf("%d offers, %v", len(offers), err)
		}
		if err := m.store.Accounts.Accept(user, offers[0].ID, m.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	m.wish()
	return m
}

// wish registers the telephones, and stores what their owners wish.
func (m *month) wish() {
	for i, who := range members {
		for _, box := range []idlepush.Account{m.boxes[i], m.boxes[len(members)]} {
			if _, err := m.store.Accounts.SetWishes(m.people[i], box.ID, who.wishes, m.clock.Now()); err != nil {
				m.Fatal(err)
			}
			for _, mute := range who.wishes.Mutes {
				if _, err := m.store.Accounts.Mute(m.people[i], box.ID, mute, m.clock.Now()); err != nil {
					m.Fatal(err)
				}
			}
		}
	}
	for i, phone := range telephones {
		m.owner = m.people[phone.owner]
		address := idlepush.Secret(fmt.Sprintf("https://push.example/planted-endpoint/%d", i))
		d := m.register(idlepush.Device{Name: fmt.Sprintf("phone %d", i), Transport: phone.transport, Content: idlepush.LevelPreview, Address: address})
		quiet := ring.Quiet{Zone: phone.zone, Hours: phone.hours, Mode: phone.mode, People: phone.people, Attention: true}
		if _, err := m.store.Devices.SetWishes(d.ID, ring.DeviceWishes{Quiet: quiet}, m.clock.Now()); err != nil {
			m.Fatal(err)
		}
		m.devices = append(m.devices, d)
	}
}

// letter is a mail of the month.
type letter struct {
	box      int
	kind     string
	id       string
	uid      uint32
	at, read time.Time // read is zero if nobody reads it
}

// plan returns the mail of some days: single ones at any time, and a dozen times six within 20 s.
func (m *month) plan(random *rand.Rand, begin time.Time, days int) (list []letter) {
	for box := range m.boxes {
		moment := func(within time.Duration) time.Time {
			return begin.Add(time.Duration(random.Int64N(int64(within)))).Truncate(time.Microsecond)
		}
		var times []time.Time
		for range 10 * days {
			times = append(times, moment(time.Duration(days)*24*time.Hour))
		}
		for range 2 {
			first := moment(time.Duration(days) * 24 * time.Hour)
			for i := range 6 {
				times = append(times, first.Add(time.Duration(i)*3*time.Second+time.Duration(random.IntN(1_000_000))*time.Microsecond))
			}
		}
		for _, at := range times {
			l := letter{box: box, kind: kinds[random.IntN(len(kinds))], at: at}
			if random.IntN(3) == 0 {
				l.read = at.Add(time.Duration(random.Int64N(int64(10 * time.Hour)))).Truncate(time.Microsecond)
			}
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b letter) int { return a.at.Compare(b.at) })
	for i := range list {
		m.next[list[i].box]++
		list[i].uid = m.next[list[i].box]
		list[i].id = registry.StableID(m.boxes[list[i].box].ID, "INBOX", 1, list[i].uid)
	}
	return list
}

// happen has the mail come and be read, each at its time, and goes on until two days later.
func (m *month) happen(list []letter) {
	type event struct {
		at   time.Time
		what func() error
	}
	var events []event
	for _, l := range list {
		box, facts := m.boxes[l.box], letters[l.kind]
		if l.kind == "stranger" {
			facts.From = fmt.Sprintf("someone%d@elsewhere.example", l.uid)
		}
		events = append(events, event{l.at, func() error {
			from, err := m.store.Mail.Cursor(box.ID, "INBOX")
			if err != nil {
				return err
			}
			_, err = m.store.Mail.Record(registry.Arrival{Account: box.ID, Folder: "INBOX", From: from, To: registry.Cursor{UIDValidity: 1, Next: l.uid + 1}, At: m.clock.Now(),
				Mails: []registry.Message{{UID: l.uid, Facts: facts, Content: idlepush.Content{From: facts.Name, Subject: facts.Subject}}}})
			return err
		}})
		if !l.read.IsZero() {
			events = append(events, event{l.read, func() error {
				_, err := m.store.Mail.Clear(box.ID, "INBOX", 1, []uint32{l.uid}, m.clock.Now())
				return err
			}})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	for _, e := range events {
		time.Sleep(time.Until(e.at))
		if err := e.what(); err != nil {
			m.Fatal(err)
		}
		synctest.Wait()
	}
	time.Sleep(72 * time.Hour)
	synctest.Wait()
}

// expect returns what becomes of the mail of a box on a telephone.
func (m *month) expect(phone, box int, list []letter, until time.Time) (fates []*fate) {
	l := &line{telephone: telephones[phone], member: members[telephones[phone].owner]}
	l.zone, _ = time.LoadLocation(l.telephone.zone)
	known := make(map[string]bool)       // kinds whose sender has written
	moments := make(map[time.Time]*fate) // when something may change; nil: nothing comes
	for _, mail := range list {
		if mail.box != box {
			continue
		}
		f := &fate{id: mail.id, kind: mail.kind, read: mail.read, first: mail.kind == "stranger" || !known[mail.kind]}
		known[mail.kind] = true
		fates = append(fates, f)
		moments[mail.at] = f
		if !mail.read.IsZero() {
			moments[mail.read] = nil
		}
	}
	for t := list[0].at.Truncate(time.Minute); t.Before(until); t = t.Add(time.Minute) {
		moments[t] = nil
	}
	var order []time.Time
	for at := range moments {
		order = append(order, at)
	}
	slices.SortFunc(order, time.Time.Compare)
	for _, at := range order {
		for o := l.wakes(); !o.IsZero() && !o.After(at); o = l.wakes() {
			l.tick(o)
		}
		l.tick(at)
		if f := moments[at]; f != nil {
			l.arrive(f, at)
		}
	}
	return fates
}

// TestMonth accounts for every mail of a month in a household of five with twelve devices: on each
// device one sentence says what became of it, and is true.
func TestMonth(t *testing.T) {
	t.Parallel()
	days := 3 * testenv.Tenth(100) // with the build tag soak almost a year
	synctest.Test(t, func(t *testing.T) {
		// In Berlin and New York summer time ends on the 29th.
		time.Sleep(time.Until(time.Date(2000, 10, 15, 0, 0, 0, 0, time.UTC)))
		m := newMonth(t)
		m.run()
		random := testenv.Rand(t)
		list := m.plan(random, time.Now().Add(time.Hour), days)
		m.happen(list)
		pushes := make(map[string][]sent) // by device and id
		count := make(map[string]int)     // pushes by device
		for _, p := range m.sends() {
			if p.message.Kind != idlepush.KindClear {
				key := p.device.ID + " " + p.message.ID
				pushes[key] = append(pushes[key], p)
				count[p.device.ID]++
			}
		}
		verdicts := make(map[string]int)
		for i, d := range m.devices {
			want := 0
			for _, box := range []int{telephones[i].owner, len(members)} {
				summaries := make(map[time.Time]bool)
				for _, f := range m.expect(i, box, list, time.Now()) {
					m.owner = d.User
					m.accountFor(f, d, pushes)
					if f.state == idlepush.DeliveryDelivered {
						want++
					}
					if f.state == idlepush.DeliveryCombined && !summaries[f.at] {
						summaries[f.at] = true
						want++
					}
					verdicts[fmt.Sprint(f.state, " ", f.why, " ", f.which)]++
				}
			}
			if count[d.ID] != want {
				t.Errorf("%s was sent %d pushes, want %d", d.Name, count[d.ID], want)
			}
		}
		if len(verdicts) < 13 {
			t.Errorf("the month shows too little: %v", verdicts)
		}
	})
}

// accountFor fails the test unless what the history says of a mail on a device is what is expected,
// and is what the device has seen.
func (m *month) accountFor(f *fate, d idlepush.Device, pushes map[string][]sent) {
	m.Helper()
	got := m.delivery(f.id, d)
	why := got.Decision.Code
	if got.State != f.state || why != f.why || got.Decision.Params[codes.Case] != f.which {
		m.Errorf("%s of %s is %s because of %q (%s), want %s because of %q (%s)", f.kind, d.Name, got.State, why, got.Decision.Params[codes.Case], f.state, f.why, f.which)
		return
	}
	m.timesOf(f, d, got.Decision)
	if why != "" {
		if err := testCodes.Check(why, got.Decision.Params); err != nil {
			m.Errorf("%s of %s: %v", f.kind, d.Name, err)
		}
	}
	alone, summary := pushes[d.ID+" "+f.id], pushes[d.ID+" "+got.Into]
	shown := alone
	if f.state == idlepush.DeliveryCombined {
		shown = summary
		if n, err := m.store.History.Get(m.owner, got.Into, m.clock.Now()); err != nil || n.Count != f.count {
			m.Errorf("a summary on %s counts %d mails (%v), want %d", d.Name, n.Count, err, f.count)
		}
	}
	visible := f.state == idlepush.DeliveryDelivered || f.state == idlepush.DeliveryCombined
	switch {
	case !visible && len(alone) == 0:
	case !visible || len(shown) != 1 || f.state == idlepush.DeliveryCombined && len(alone) > 0:
		m.Errorf("%s of %s, which is %s, was sent %d times by itself, and in %d summaries", f.kind, d.Name, f.state, len(alone), len(summary))
	case shown[0].at.Sub(f.at).Abs() > time.Second:
		m.Errorf("%s of %s was shown at %v, want %v", f.kind, d.Name, shown[0].at, f.at)
	case isSilent(shown[0].message) != f.silent:
		m.Errorf("%s of %s, which is %s because of %q (%s), was shown silently: %v", f.kind, d.Name, f.state, f.why, f.which, !f.silent)
	}
}

// timesOf fails the test unless the decision says until when it holds, and for how long what held
// the mail.
func (m *month) timesOf(f *fate, d idlepush.Device, by ring.Decision) {
	m.Helper()
	if !near(by.Until, f.until) {
		m.Errorf("%s of %s, which is %s because of %q, is so until %v, want %v", f.kind, d.Name, f.state, f.why, by.Until, f.until)
	}
	waited, want := by.Waited, f.waited
	if (waited == nil) != (want == nil) || want != nil && (waited.Code != want.Code || !near(waited.Since, want.Since) || !near(waited.Until, want.Until)) {
		m.Errorf("%s of %s, which is %s because of %q, waited for %+v, want %+v", f.kind, d.Name, f.state, f.why, waited, want)
	}
}

// near reports whether two times differ by less than what the store takes to write.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }

// isSilent reports whether the phone shows the message without a sound.
func isSilent(m Message) bool {
	var p struct{ Silent bool }
	return json.Unmarshal(m.Payload, &p) == nil && p.Silent
}

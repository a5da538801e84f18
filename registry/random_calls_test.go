package registry

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// The calls of a random run: each is made of the store and of the model, and both must answer
// alike.

func (r *run) record() {
	id := pick(r, r.m.accounts)
	if id == "" {
		return
	}
	a := r.m.accounts[id]
	look := Arrival{Account: id, Folder: "INBOX", From: Cursor{UIDValidity: 7, Next: a.next}, At: r.now}
	if a.next == 0 {
		look.From = Cursor{}
	}
	look.To = Cursor{UIDValidity: 7, Next: max(a.next, 1)}
	for range r.of(4) {
		m := Message{UID: look.To.Next, Wordless: r.of(2) == 0}
		switch r.of(6) {
		case 0:
			m.NotRung.Code = "seen"
		case 1:
			m.Old = true
		}
		if !m.Wordless {
			m.Content.Subject = "s"
		}
		look.Mails = append(look.Mails, m)
		look.To.Next++
	}
	var want error
	switch r.of(8) {
	case 0: // one that is recorded already
		look.Mails = append(look.Mails, Message{UID: 1})
		look.To.Next = max(look.To.Next, 2)
	case 1: // from a cursor that has moved
		look.From.Next++
		want = ErrStale
	}
	if !a.Enabled {
		want = ErrNotFound
	}
	recorded, err := r.s.Mail.Record(look)
	r.want(err, want)
	expected := 0
	if want == nil {
		expected = r.m.record(look)
	}
	if recorded != expected {
		r.Errorf("recorded %d, want %d", recorded, expected)
	}
}

// decide decides on the old mail of one account.
func (r *run) decide() {
	list, err := r.s.Outbox.OldMail()
	r.want(err, nil)
	counts := make(map[string]int)
	for _, m := range list {
		counts[m.Account] = m.Count
	}
	for id, a := range r.m.accounts {
		if a.batch != "" && counts[id] != a.old || a.batch == "" && counts[id] > 0 {
			r.Errorf("%d old mails wait in %s, want %d", counts[id], id, a.old)
		}
	}
	id := pick(r, r.m.accounts)
	i := slices.IndexFunc(list, func(m OldMail) bool { return m.Account == id })
	if i < 0 {
		return
	}
	ring, how := r.of(2) == 0, r.s.Outbox.SumUpOld
	if ring {
		how = r.s.Outbox.RingOld
	}
	r.want(how(list[i], r.now), nil)
	r.m.decide(id, ring, r.now)
}

// ringExcess has one of the summaries of excess mail ring that have grown.
func (r *run) ringExcess() {
	list, err := r.s.Outbox.Excess()
	r.want(err, nil)
	grown := make(map[string]Excess)
	for _, e := range list {
		row := notificationRow{}
		r.want(r.s.db.View(func(tx *table.Tx) (err error) {
			row, _, err = notifications.Get(tx, e.key)
			return err
		}), nil)
		if grown[row.ID] = e; e.Count != r.m.excess[row.ID] || !r.m.grown[row.ID] {
			r.Errorf("%s counts %d, want %d", row.ID, e.Count, r.m.excess[row.ID])
		}
	}
	if len(grown) != len(r.m.grown) {
		r.Errorf("%d summaries have grown, want %d", len(grown), len(r.m.grown))
	}
	if id := pick(r, grown); id != "" {
		r.want(r.s.Outbox.RingExcess(grown[id], r.now), nil)
		r.m.ringExcess(id, r.now)
	}
}

func (r *run) fillIn() {
	id := pick(r, r.m.accounts)
	if id == "" {
		return
	}
	uid := uint32(max(0, int(r.m.accounts[id].next)-r.of(8)))
	want := r.m.fillIn(id, StableID(id, "INBOX", 7, uid), r.now)
	filled, err := r.s.Mail.FillIn(id, "INBOX", 7, Message{UID: uid, Content: idlepush.Content{Subject: "s"}}, r.now)
	r.want(err, nil)
	if filled != want {
		r.Errorf("filled in %v, want %v", filled, want)
	}
}

func (r *run) take() {
	list, err := r.s.Outbox.Due(r.now, room(1+r.of(3)), r.busy())
	if err != nil {
		r.Fatal(err)
	}
	for _, q := range list {
		if q.Due.After(r.now) {
			break
		}
		d := r.m.devices[q.Device]
		w, ok, err := r.s.Outbox.Next(q.Device, r.now)
		kept := r.queued(q.Device)
		want := r.m.next(d, r.now, func(id string) bool { return unsynced.Bound > 0 && kept[id] })
		if err != nil || ok != (want != "") || w.Notification.ID != want {
			r.Errorf("next of %s is %v %q, %v; want %q", q.Device, ok, w.Notification.ID, err, want)
		}
		if ok {
			r.taken[q.Device] = w
			if got := r.m.notes[want].deliveries[q.Device].attempts; w.Attempts != got {
				r.Errorf("%d attempts, want %d", w.Attempts, got)
			}
		}
	}
}

// queued returns the stable ids of what waits in the store for the device.
func (r *run) queued(device string) map[string]bool {
	ids := make(map[string]bool)
	err := r.s.db.View(func(tx *table.Tx) error {
		waits, err := waiting.First(tx, table.Under(id(device)), table.NoLimit)
		for _, e := range waits {
			n, _, err := notifications.Get(tx, e.Key.notification)
			if err != nil {
				return err
			}
			ids[n.ID] = true
		}
		return err
	})
	r.want(err, nil)
	return ids
}

func (r *run) settle() {
	id := pick(r, r.taken)
	if id == "" {
		return
	}
	w := r.taken[id]
	delete(r.taken, id)
	o := Outcome{Result: []Result{ResultDelivered, ResultDelivered, ResultRetry, ResultRefused, ResultMisconfigured, ResultGone}[r.of(6)]}
	if o.Result == ResultRetry || o.Result == ResultMisconfigured {
		o.Slow = r.of(3) == 0
		o.At, o.Suspect = r.now.Add(time.Duration(r.of(30)-2)*time.Minute), o.Result == ResultRetry && r.of(3) == 0
	}
	if o.Result == ResultDelivered && w.Device.Transport == APNs && w.Device.Params == nil {
		o.Learned = taught([]string{production, sandbox}[r.of(2)])
	}
	switch r.of(4) {
	case 0:
		o.PauseFor = time.Duration(1+r.of(20)) * time.Minute
	case 1:
		o.LaneWorks = true
	}
	changed, err := r.s.Outbox.Settle(w, o, r.now)
	d := r.m.devices[id]
	if d == nil {
		r.want(err, ErrNotFound)
		return
	}
	r.want(err, nil)
	if want := r.m.settleLane(w, o, r.now); changed != want {
		r.Errorf("changed the lane: %v, want %v", changed, want)
	}
	if !slices.Contains(d.queue, w.Notification.ID) {
		return // dropped meanwhile
	}
	// What is said of a former address says nothing of this one, and of one that was confirmed
	// since nothing that lasts.
	same := addressDigest(d.Device) == addressDigest(w.Device) && maps.Equal(d.Params, w.Device.Params)
	if !same || o.Result != ResultDelivered && !d.Registered.Equal(w.Device.Registered) {
		o = Outcome{Result: ResultRetry}
	}
	if o.Learned != nil {
		d.Params, d.Lane = o.Learned.Params, o.Learned.Lane
		d.Revision++
	}
	state := d.Status.State
	n := r.m.notes[w.Notification.ID]
	r.m.settle(d, w.Notification.ID, w.Attempts, o, n != nil && w.Notification.Wordless && n.filled, r.now)
	if !same {
		d.Status.State = state
	} else {
		d.slow = o.Slow
	}
}

// device makes a device of one of a few addresses.
func (r *run) device() idlepush.Device {
	d := idlepush.Device{User: r.users[r.of(len(r.users))].ID, Name: "d", Content: []idlepush.Level{idlepush.LevelWake, idlepush.LevelSubject}[r.of(2)], Status: idlepush.Status{State: []idlepush.State{idlepush.StateProven, idlepush.StateUnproven, ""}[r.of(3)]}}
	switch address := r.of(6); address {
	case 0, 1:
		d.Transport, d.Address = FCM, idlepush.Secret(fmt.Sprint("token ", address))
	case 2:
		d.Transport, d.Address, d.Params = APNs, "token", in([]string{"", production, sandbox}[r.of(3)])
	default:
		d.Transport, d.Address = WebPush, idlepush.Secret(fmt.Sprintf("https://push%d.example/%d", address%2, address))
	}
	switch r.of(4) {
	case 0:
		d.Accounts = []string{}
	case 1:
		d.Accounts = []string{pick(r, r.m.accounts)}
	}
	return routed(d)
}

func (m *model) at(address [32]byte) *modelDevice {
	for _, d := range m.devices {
		if addressDigest(d.Device) == address {
			return d
		}
	}
	return nil
}

func (r *run) putDevice() {
	d := r.device()
	known := r.m.at(addressDigest(d))
	got, created, err := r.s.Devices.Register(d, "", r.now)
	r.want(err, nil)
	if created != (known == nil) || known != nil && got.ID != known.ID {
		r.Errorf("created %v %s", created, got.ID)
	}
	if known == nil {
		r.m.devices[got.ID] = &modelDevice{Device: got}
		return
	}
	known.slow = known.slow && got.SameAddress(known.Device)
	known.Device = got
	if !known.due.IsZero() {
		known.due = r.now
	}
}

func (r *run) updateDevice() {
	id := pick(r, r.m.devices)
	if id == "" {
		return
	}
	d := r.m.devices[id]
	edited := r.device()
	edited.ID, edited.Revision = id, d.Revision
	if r.of(2) == 0 { // the address stays
		edited.Transport, edited.Address, edited.Params, edited.Lane, edited.MustShow = d.Transport, d.Address, d.Params, d.Lane, d.MustShow
	}
	var want error
	if other := r.m.at(addressDigest(edited)); other != nil && other != d {
		want = ErrTaken
	}
	if edited.User != d.User {
		want = ErrNotFound
	}
	got, err := r.s.Devices.Update(edited, r.now)
	r.want(err, want)
	if want != nil {
		return
	}
	again := addressDigest(d.Device) != addressDigest(edited) || !maps.Equal(d.Params, edited.Params) ||
		d.Lane != edited.Lane || d.Status.State == idlepush.StateSuspect && edited.Status.State == idlepush.StateProven
	d.slow = d.slow && got.SameAddress(d.Device)
	d.Device = got
	if again && !d.due.IsZero() {
		d.due = r.now
	}
}

func (r *run) removeDevice() {
	if id := pick(r, r.m.devices); id != "" {
		d, err := r.s.Devices.Get(id)
		r.want(err, nil)
		r.want(r.s.Devices.Remove(d, ""), nil)
		delete(r.m.devices, id)
	}
}

func (r *run) addAccount() {
	a := idlepush.Account{Owner: r.users[r.of(len(r.users))].ID, Email: "a@example.org", Host: "imap.example.org", Port: 993, Username: fmt.Sprint("user ", r.of(4)),
		Folders: []string{"INBOX"}, Enabled: true}
	var known *modelAccount
	for _, other := range r.m.accounts {
		if other.Username == a.Username {
			known = other
		}
	}
	got, added, err := r.s.Accounts.Add(a, "", r.now)
	r.want(err, nil)
	if added != (known == nil) || known != nil && got.ID != known.ID {
		r.Errorf("added %v %s", added, got.ID)
	}
	if known == nil {
		r.m.accounts[got.ID] = &modelAccount{Account: got}
		return
	}
	if known.Revision = got.Revision; !r.m.sees(a.Owner, known.ID) {
		r.m.share(known, append(slices.Clone(known.SharedWith), a.Owner), r.now)
		told := r.m.who(func(d *modelDevice) bool { return d.User == known.Owner })
		r.m.enqueue(stableID(string(idlepush.KindAttention), string(codeShareJoined), known.ID, a.Owner, fmt.Sprint(known.since[a.Owner].UnixNano()), r.now.String()), &modelNote{user: known.Owner, expires: r.now.Add(7 * 24 * time.Hour)}, told, r.now)
	}
}

func (r *run) updateAccount() {
	id := pick(r, r.m.accounts)
	if id == "" {
		return
	}
	a := r.m.accounts[id]
	edited := a.Account
	edited.Enabled, edited.SharedWith = r.of(3) > 0, nil
	if r.of(2) == 0 {
		edited.SharedWith = []string{r.users[r.of(len(r.users))].ID}
	}
	got, err := r.s.Accounts.Update(edited, r.now)
	r.want(err, nil)
	a.Account = got
	r.m.share(a, edited.SharedWith, r.now)
}

func (r *run) removeAccount() {
	if id := pick(r, r.m.accounts); id != "" && r.of(2) == 0 {
		r.want(r.s.Accounts.Remove(id, r.now), nil)
		r.m.removeAccount(id, r.now)
	}
}

var modelLanes = []string{"fcm", "apns production", "apns sandbox", "webpush https://push0.example", "webpush https://push1.example"}

func (r *run) pauseLane() {
	l := Lane{Name: modelLanes[r.of(len(modelLanes))], Since: r.now, Until: r.now.Add(time.Duration(r.of(20)-2) * time.Minute)}
	pause(r, r.s, l)
	r.m.lanes[l.Name] = l
}

func (r *run) probeLanes() {
	r.want(r.s.Outbox.ProbeLanes(r.now), nil)
	r.m.probeLanes(r.now)
}

func (r *run) purge() {
	r.want(r.s.Purge(r.Context(), r.now), nil)
	r.m.purge(r.now)
}

func (r *run) passTime() {
	unit := []time.Duration{time.Nanosecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}[r.of(5)]
	r.now = r.now.Add(time.Duration(r.of(12)-2) * unit)
}

func (r *run) reopen() {
	reopen(r, r.s)
	r.s.bounds.mails = modelDaily
}

package registry

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"idlepush"
)

// model is what the store is to do, in plain maps and without any of its code: queues are lists,
// and a device's due time is a field.
type model struct {
	accounts map[string]*modelAccount
	devices  map[string]*modelDevice
	notes    map[string]*modelNote // by stable id
	order    []string              // of notes, oldest first
	lines    map[string]string     // by stable id: the line of a queue, also when the note is gone
	began    map[string]time.Time  // by stable id: of the note, also when it is gone
	last     time.Time             // of the newest note that ever was
	lanes    map[string]Lane       // those that are paused
	excess   map[string]int        // by stable id: how many mails a summary counts
	grown    map[string]bool       // by stable id: a summary that is to ring
}

type modelAccount struct {
	idlepush.Account
	next  uint32 // of INBOX; 0: never seen
	batch string // the stable id of what counts its old mail; empty: there is none
	old   int    // how many it counts
	began time.Time
	mails int                  // that rang since then
	since map[string]time.Time // by user with whom it is shared: of the newest note then
}

// modelDaily is how many mails of an account the store keeps in a day.
const modelDaily = 6

type modelDevice struct {
	idlepush.Device
	due   time.Time // unless its lane is paused; zero: nothing waits
	slow  bool
	queue []string // stable ids
}

type modelNote struct {
	account, user string
	// at is the clock's time, or just after the note before it if the clock went back.
	at         time.Time
	expires    time.Time
	deliveries map[string]modelDelivery // by device
	wordless   bool
	filled     bool // its words are kept, since they came when it rang a device
	silent     bool // it has not rung
	undecided  bool // it is old, and may ring
}

type modelDelivery struct {
	state    idlepush.DeliveryState
	attempts int
	before   bool // it was delivered without words
}

func newModel() *model {
	return &model{map[string]*modelAccount{}, map[string]*modelDevice{}, map[string]*modelNote{}, nil, map[string]string{}, map[string]time.Time{}, time.Time{}, map[string]Lane{}, map[string]int{}, map[string]bool{}}
}

func (m *model) sees(user, account string) bool {
	a := m.accounts[account]
	return a != nil && (a.Owner == user || slices.Contains(a.SharedWith, user))
}

func (m *model) rings(d *modelDevice, account string) bool {
	return m.sees(d.User, account) && (d.Accounts == nil || slices.Contains(d.Accounts, account))
}

func (m *model) enqueue(id string, n *modelNote, told []*modelDevice, now time.Time) {
	n.deliveries = map[string]modelDelivery{}
	if n.at = m.last.Add(1); now.After(n.at) {
		n.at = now
	}
	m.last = n.at
	m.notes[id], m.order, m.lines[id], m.began[id] = n, append(m.order, id), n.account, n.at
	for _, d := range told {
		n.deliveries[d.ID] = modelDelivery{state: idlepush.DeliveryPending}
		d.queue = append(d.queue, id)
		if d.due.IsZero() {
			d.due = now
		}
	}
}

func (m *model) who(match func(*modelDevice) bool) (list []*modelDevice) {
	for _, d := range m.devices {
		if match(d) {
			list = append(list, d)
		}
	}
	return list
}

// share shares the account with the people.
func (m *model) share(a *modelAccount, people []string, now time.Time) {
	before := a.since
	a.since = map[string]time.Time{}
	for _, user := range people {
		at, shared := before[user]
		if !shared {
			if at = m.last.Add(1); now.After(at) {
				at = now
			}
			m.last = at
		}
		a.since[user] = at
	}
	a.SharedWith = people
}

// saw reports whether the user sees the note.
func (m *model) saw(user string, n *modelNote) bool {
	a := m.accounts[n.account]
	return m.sees(user, n.account) && (a.Owner == user || n.at.After(a.since[user]))
}

// removeAccount tells each of those with whom the account is shared.
func (m *model) removeAccount(id string, now time.Time) {
	for _, user := range m.accounts[id].SharedWith {
		told := m.who(func(d *modelDevice) bool { return d.User == user })
		m.enqueue(stableID(string(idlepush.KindAttention), id, user, now.String()), &modelNote{user: user, expires: now.Add(7 * 24 * time.Hour)}, told, now)
	}
	delete(m.accounts, id)
}

// record gives how many of the mails are new.
func (m *model) record(a Arrival) (recorded int) {
	account := m.accounts[a.Account]
	for _, mail := range a.Mails {
		id := StableID(a.Account, a.Folder, a.To.UIDValidity, mail.UID)
		switch {
		case m.notes[id] != nil:
		case mail.NotRung.Code != "":
			m.enqueue(id, &modelNote{account: a.Account, expires: a.At.Add(72 * time.Hour), silent: true}, nil, a.At)
		case mail.Old:
			if account.batch == "" {
				account.batch, account.old = stableID(string(CodeOld), id), 0
				m.enqueue(account.batch, &modelNote{account: a.Account, silent: true}, nil, a.At)
			}
			account.old++
			m.enqueue(id, &modelNote{account: a.Account, wordless: mail.Wordless, silent: true, undecided: true}, nil, a.At)
		case m.countExcess(account, a.At):
		default:
			recorded++
			told := m.who(func(d *modelDevice) bool { return m.rings(d, a.Account) })
			m.enqueue(id, &modelNote{account: a.Account, expires: a.At.Add(72 * time.Hour), wordless: mail.Wordless}, told, a.At)
		}
	}
	account.next = a.To.Next
	return recorded
}

// next drops the deliveries that are not to be sent from the front of the line that leads. It
// returns the first delivery that is to be sent; "" if none is. The store may stop after the first
// that it drops, if its transactions are bounded: kept reports whether a delivery is in its queue
// still.
func (m *model) next(d *modelDevice, now time.Time, kept func(id string) bool) string {
	for len(d.queue) > 0 {
		line, dropped, ended := m.lines[d.queue[0]], 0, false
		if m.standing(d, d.queue[0], now) == idlepush.DeliveryPending {
			return d.queue[0]
		}
		d.queue = slices.DeleteFunc(slices.Clone(d.queue), func(id string) bool {
			if m.lines[id] != line {
				return false
			}
			state := m.standing(d, id, now)
			if ended = ended || state == idlepush.DeliveryPending || dropped > 0 && kept(id); ended {
				return false
			}
			dropped++
			if n := m.notes[id]; n != nil {
				n.end(d.ID, state, n.deliveries[d.ID].attempts)
			}
			return true
		})
	}
	d.due = time.Time{}
	return ""
}

// standing says whether a delivery is still to be sent.
func (m *model) standing(d *modelDevice, id string, now time.Time) idlepush.DeliveryState {
	n := m.notes[id]
	switch {
	case n == nil:
		return idlepush.DeliveryRemoved
	case !now.Before(n.expires):
		return idlepush.DeliveryExpired
	case n.account != "" && !m.rings(d, n.account), n.account == "" && n.user != d.User:
		return idlepush.DeliveryRemoved
	}
	return idlepush.DeliveryPending
}

// end notes how a delivery stands; one that ends without its words was delivered before.
func (n *modelNote) end(device string, state idlepush.DeliveryState, attempts int) {
	before := n.deliveries[device]
	switch {
	case before.before && state == idlepush.DeliveryPending:
		n.deliveries[device] = modelDelivery{state, attempts, true}
	case before.before && state != idlepush.DeliveryDelivered:
		n.deliveries[device] = modelDelivery{idlepush.DeliveryDelivered, before.attempts, false}
	default:
		n.deliveries[device] = modelDelivery{state, attempts, false}
	}
}

// fillIn reports whether the mail has words now.
func (m *model) fillIn(account, id string, now time.Time) bool {
	n := m.notes[id]
	if n == nil || !n.wordless || n.silent && !n.undecided {
		return false
	}
	n.wordless = false
	for _, d := range m.devices {
		if !m.saw(d.User, n) {
			continue
		}
		n.filled = n.filled || m.rings(d, account)
		was, told := n.deliveries[d.ID]
		if told && was.state == idlepush.DeliveryDelivered && now.Before(n.expires) && m.rings(d, account) && d.Content != idlepush.LevelWake {
			n.deliveries[d.ID] = modelDelivery{idlepush.DeliveryPending, was.attempts, true}
			m.queueAgain(d, id, now)
		}
	}
	return true
}

// settle is for work whose row is still there and whose device has the address that it was taken
// with; words: they came since it was taken, and are kept.
func (m *model) settle(d *modelDevice, id string, attempts int, o Outcome, words bool, now time.Time) {
	if o.Result == ResultGone {
		delete(m.devices, d.ID)
		others := m.who(func(other *modelDevice) bool { return other.User == d.User })
		m.enqueue(stableID(string(idlepush.KindAttention), d.ID, now.String()), &modelNote{user: d.User, expires: now.Add(7 * 24 * time.Hour)}, others, now)
		return
	}
	state, at := idlepush.DeliveryPending, now
	switch o.Result {
	case ResultDelivered:
		state, d.Status.State = idlepush.DeliveryDelivered, idlepush.StateProven
	case ResultRefused:
		state = idlepush.DeliveryRefused
	default:
		if o.Suspect {
			d.Status.State = idlepush.StateSuspect
		}
		if n := m.notes[id]; n != nil && o.At.After(n.expires) {
			o.At = n.expires
		} else if n == nil {
			o.At = at
		}
		if o.At.After(at) {
			at = o.At
		}
	}
	if n := m.notes[id]; n != nil {
		if n.end(d.ID, state, attempts+1); words && state == idlepush.DeliveryDelivered && d.Content != idlepush.LevelWake {
			state = idlepush.DeliveryPending
			n.deliveries[d.ID] = modelDelivery{idlepush.DeliveryPending, attempts + 1, true}
		}
	}
	d.due = at
	if state != idlepush.DeliveryPending {
		d.queue = slices.DeleteFunc(slices.Clone(d.queue), func(other string) bool { return other == id })
		if len(d.queue) == 0 {
			d.due = time.Time{}
		}
	}
}

// settleLane is what the outcome says of the lane of the work; it reports whether that changed it.
func (m *model) settleLane(w Work, o Outcome, now time.Time) bool {
	was, paused := m.lanes[w.Lane]
	switch {
	case o.LaneWorks:
		delete(m.lanes, w.Lane)
		return paused
	case o.PauseFor == 0 || !reflect.DeepEqual(was, w.Pause) && (!paused || now.Before(was.Until)):
		return false
	case !paused:
		was = Lane{Name: w.Lane, Since: now}
	}
	was.Until = now.Add(o.PauseFor)
	m.lanes[w.Lane] = was
	return true
}

// probeLanes ends the time of every pause, and the pause itself where nothing waits.
func (m *model) probeLanes(now time.Time) {
	for name, l := range m.lanes {
		waits := m.who(func(d *modelDevice) bool { return d.Lane == name && !d.due.IsZero() })
		if l.Until.After(now) {
			l.Until = now
		}
		if m.lanes[name] = l; len(waits) == 0 {
			delete(m.lanes, name)
		}
	}
}

// purge removes the activity that is older than a week, that of accounts that are gone, and lanes
// without devices.
func (m *model) purge(now time.Time) {
	members := make(map[string]bool)
	for _, d := range m.devices {
		members[d.Lane] = true
	}
	maps.DeleteFunc(m.lanes, func(name string, _ Lane) bool { return !members[name] })
	m.order = slices.DeleteFunc(m.order, func(id string) bool {
		n := m.notes[id]
		old := now.Sub(n.at) >= 7*24*time.Hour || n.account != "" && m.accounts[n.account] == nil
		if !old {
			return false
		}
		delete(m.notes, id)
		delete(m.grown, id)
		if a := m.accounts[n.account]; a != nil && a.batch == id {
			a.batch = ""
		}
		for _, d := range m.devices {
			if d.queue = slices.DeleteFunc(d.queue, func(waits string) bool { return waits == id }); len(d.queue) == 0 {
				d.due = time.Time{}
			}
		}
		return true
	})
	for _, n := range m.notes {
		for device, d := range n.deliveries {
			if m.devices[device] == nil && d.state == idlepush.DeliveryPending {
				n.end(device, idlepush.DeliveryRemoved, d.attempts)
			}
		}
	}
}

// dump is all of it as text, to be compared with the store's.
func (m *model) dump() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(m.devices)) {
		d := m.devices[id]
		dumpDevice(&b, d.Device, d.due, d.queue)
	}
	for _, id := range slices.Sorted(maps.Keys(m.notes)) {
		n := m.notes[id]
		fmt.Fprintf(&b, "notification %s", id)
		for _, device := range slices.Sorted(maps.Keys(n.deliveries)) {
			d := n.deliveries[device]
			fmt.Fprintf(&b, " %s:%s/%d/%v", device, d.state, d.attempts, d.before)
		}
		b.WriteString("\n")
	}
	for _, id := range slices.Sorted(maps.Keys(m.accounts)) {
		a := m.accounts[id]
		fmt.Fprintf(&b, "account %s %v %v next %d\n", id, a.Enabled, a.SharedWith, a.next)
	}
	for _, name := range slices.Sorted(maps.Keys(m.lanes)) {
		dumpLane(&b, m.lanes[name])
	}
	return b.String()
}

func dumpDevice(b *strings.Builder, d idlepush.Device, due time.Time, queue []string) {
	at := int64(-1)
	if !due.IsZero() {
		at = due.UnixNano()
	}
	fmt.Fprintf(b, "device %s of %s in %s, %s, accounts %q, due %d: %v\n", d.ID, d.User, d.Lane, d.Status.State, d.Accounts, at, queue)
}

func dumpLane(b *strings.Builder, l Lane) {
	fmt.Fprintf(b, "lane %s since %d until %d\n", l.Name, l.Since.UnixNano(), l.Until.UnixNano())
}

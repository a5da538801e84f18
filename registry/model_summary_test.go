package registry

import (
	"fmt"
	"slices"
	"time"

	"idlepush"
)

// countExcess reports whether a mail that rings is beyond what is kept in a day.
func (m *model) countExcess(a *modelAccount, now time.Time) bool {
	if age := now.Sub(a.began); age < 0 || age >= 24*time.Hour {
		a.began, a.mails = now, 0
	}
	if a.mails++; a.mails <= modelDaily {
		return false
	}
	id := stableID("excess", a.ID, fmt.Sprint(a.began.UnixNano()))
	if m.notes[id] == nil {
		m.enqueue(id, &modelNote{account: a.ID, expires: now.Add(72 * time.Hour)}, nil, now)
		m.excess[id] = 0
	}
	m.excess[id]++
	m.grown[id] = true
	return true
}

// ringExcess has a summary ring that has grown.
func (m *model) ringExcess(id string, now time.Time) {
	delete(m.grown, id)
	n := m.notes[id]
	for _, d := range m.who(func(d *modelDevice) bool { return m.rings(d, n.account) }) {
		was, told := n.deliveries[d.ID]
		if told && was.state != idlepush.DeliveryDelivered {
			continue
		}
		n.deliveries[d.ID] = modelDelivery{idlepush.DeliveryPending, was.attempts, told}
		m.queueAgain(d, id, now)
	}
}

// queueAgain adds a note to a queue at the place of its time.
func (m *model) queueAgain(d *modelDevice, id string, now time.Time) {
	d.queue = append(d.queue, id)
	slices.SortFunc(d.queue, func(a, b string) int { return m.began[a].Compare(m.began[b]) })
	if d.due.IsZero() {
		d.due = now
	}
}

// decide has the old mail of an account ring, or the batch that counts it.
func (m *model) decide(account string, ring bool, now time.Time) {
	a := m.accounts[account]
	for _, id := range m.order {
		n := m.notes[id]
		if n.account == account && n.undecided {
			if n.undecided = false; ring {
				m.ring(id, now)
			}
		}
	}
	if !ring {
		m.ring(a.batch, now)
	}
	a.batch = ""
}

// ring adds a silent note to the queues of those that it notifies, at the place of its time.
func (m *model) ring(id string, now time.Time) {
	n := m.notes[id]
	n.silent, n.expires = false, now.Add(72*time.Hour)
	for _, d := range m.who(func(d *modelDevice) bool { return m.rings(d, n.account) && m.saw(d.User, n) }) {
		n.deliveries[d.ID] = modelDelivery{state: idlepush.DeliveryPending}
		m.queueAgain(d, id, now)
	}
}

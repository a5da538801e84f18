package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

// heldPhone is a device whose mail is held, shown, skipped and read in any order, and what it
// shows.
type heldPhone struct {
	testing.TB
	*script
	s       *Store
	user    idlepush.User
	account idlepush.Account
	device  idlepush.Device
	now     time.Time
	quiet   time.Time // what does not matter is held until then
	mails   []*heldMail
	chosen  *Work           // by Next, and decided
	sent    []Work          // accepted, and not settled
	shows   map[string]bool // by stable id
	maybe   map[string]bool // what the store may take for shown, by stable id
	log     []string
}

type heldMail struct {
	id      string
	uid     uint32
	matters bool         // it is not held
	wished  ring.Verdict // if it is not held
	decided ring.Verdict // the last one
	read    bool
}

// Of what does not matter, heldBurst may ring within heldWindow.
const (
	heldBurst  = 3
	heldWindow = 10 * time.Minute
)

var heldSteps = []struct {
	name   string
	weight int
	do     func(*heldPhone)
}{
	{"mail comes", 3, (*heldPhone).arrive},
	{"time passes", 2, (*heldPhone).passTime},
	{"quiet hours are edited", 1, (*heldPhone).editQuiet},
	{"a mail is wished otherwise", 1, (*heldPhone).editRules},
	{"a mail gets its content", 1, (*heldPhone).fillIn},
	{"a mail is read", 2, (*heldPhone).read},
	{"the program ends", 2, (*heldPhone).end},
	{"the queue is served", 5, func(h *heldPhone) { h.serve() }},
	{"the queue is served until nothing is due", 1, (*heldPhone).serveAll},
}

// TestRandomHolds holds mail back in any order of events, over restarts and with edits between two
// steps of push.
func TestRandomHolds(t *testing.T) {
	random := testenv.Rand(t)
	var wheel []int
	for i, o := range heldSteps {
		wheel = append(wheel, slices.Repeat([]int{i}, o.weight)...)
	}
	for i := range testenv.Tenth(200) {
		t.Run(fmt.Sprint("script ", i), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1) // the same ids again
			bytes := make([]byte, 400)
			for i := range bytes {
				bytes[i] = byte(random.Uint32())
			}
			h := &heldPhone{TB: t, script: &script{bytes}, s: newStore(t), now: dawn, quiet: dawn, shows: make(map[string]bool), maybe: make(map[string]bool)}
			h.user = someone(t, h.s, "ann")
			h.account = mailbox(t, h.s, h.user, "ann@example.org")
			if h.device = phone(t, h.s, h.user, "phone"); i%2 == 1 {
				h.must(h.s.Devices.Remove(h.device, ""))
				h.device = browser(t, h.s, h.user, "page", "https://push.example")
			}
			for len(h.bytes) > 0 && !t.Failed() {
				step := heldSteps[wheel[h.of(len(wheel))]]
				h.say("%s %s", h.now.Format("15:04"), step.name)
				step.do(h)
			}
			if t.Failed() {
				t.Logf("after\n%s", strings.Join(h.log, "\n"))
			}
		})
	}
}

func (h *heldPhone) say(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *heldPhone) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("%v after\n%s", err, strings.Join(h.log, "\n"))
	}
}

func (h *heldPhone) mail(id string) *heldMail {
	i := slices.IndexFunc(h.mails, func(m *heldMail) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	return h.mails[i]
}

// one is one of the last mails, or nil if there is none.
func (h *heldPhone) one() *heldMail {
	last := h.mails[max(0, len(h.mails)-8):]
	if len(last) == 0 {
		return nil
	}
	return last[h.of(len(last))]
}

// list is the mails and summaries, each with its delivery to the device.
func (h *heldPhone) list() []idlepush.Notification {
	list, _, err := h.s.History.List(h.user.ID, "", 1000, h.now)
	h.must(err)
	return list
}

// counted is how many unread mails each summary counts.
func (h *heldPhone) counted(list []idlepush.Notification) map[string]int {
	counted := make(map[string]int)
	for _, n := range list {
		if d := n.Deliveries[0]; d.State == idlepush.DeliveryCombined && !h.mail(n.ID).read {
			counted[d.Into]++
		}
	}
	return counted
}

func (h *heldPhone) arrive() {
	look := arrival(h, h.s, h.account, 1+h.of(3), h.now)
	for i := range look.Mails {
		uid := look.Mails[i].UID
		if h.of(4) == 3 {
			look.Mails[i] = Message{UID: uid, Wordless: true}
		}
		m := &heldMail{id: StableID(h.account.ID, "INBOX", 7, uid), uid: uid}
		h.wish(m)
		h.mails = append(h.mails, m)
	}
	h.must(errOf(h.s.Mail.Record(look)))
}

func (h *heldPhone) wish(m *heldMail) {
	m.matters = h.of(4) == 3
	m.wished = []ring.Verdict{ring.Now, ring.Now, ring.Silent, ring.Not}[h.of(4)]
}

func (h *heldPhone) passTime() { h.now = h.now.Add(time.Duration(h.of(40)) * time.Minute) }

func (h *heldPhone) editQuiet() {
	h.quiet = h.now.Add(time.Duration(h.of(90)) * time.Minute)
	w, err := h.s.Devices.Wishes(h.device.ID)
	h.must(err)
	w.Quiet.People = !w.Quiet.People
	h.must(errOf(h.s.Devices.SetWishes(h.device.ID, w, h.now)))
}

func (h *heldPhone) editRules() {
	if m := h.one(); m != nil {
		h.wish(m)
		w, err := h.s.Accounts.Wishes(h.user.ID, h.account.ID)
		h.must(err)
		w.Name = fmt.Sprint("edit ", w.Revision)
		h.must(errOf(h.s.Accounts.SetWishes(h.user.ID, h.account.ID, w, h.now)))
	}
}

func (h *heldPhone) fillIn() {
	if m := h.one(); m != nil {
		h.maybe[m.id] = h.maybe[m.id] || h.shows[m.id] || h.isOnItsWay(m.id) // it is sent again
		h.must(errOf(h.s.Mail.FillIn(h.account.ID, "INBOX", 7, Message{UID: m.uid, Content: idlepush.Content{Subject: "s"}}, h.now)))
	}
}

func (h *heldPhone) read() {
	m := h.one()
	if way := slices.IndexFunc(h.mails, func(m *heldMail) bool { return h.isOnItsWay(m.id) }); way >= 0 && h.of(2) == 0 {
		m = h.mails[way]
	}
	if m == nil {
		return
	}
	m.read = true
	if h.isOnItsWay(m.id) {
		h.maybe[m.id] = true // the store does not wait for its outcome
	}
	h.must(errOf(h.s.Mail.Clear(h.account.ID, "INBOX", 7, []uint32{m.uid}, h.now)))
}

// isOnItsWay reports whether the notification was chosen, or accepted and not settled.
func (h *heldPhone) isOnItsWay(id string) bool {
	is := func(w Work) bool { return w.Notification.ID == id }
	return h.chosen != nil && is(*h.chosen) || slices.ContainsFunc(h.sent, is)
}

// end has the program end, in order or not, and begin again.
func (h *heldPhone) end() {
	inOrder := h.of(2) == 0
	if inOrder {
		h.must(h.s.endRun())
	}
	inOrder = inOrder && h.chosen == nil && len(h.sent) == 0
	for _, n := range h.list() {
		if d := n.Deliveries[0]; !inOrder && d.State == idlepush.DeliveryPending && d.HeldUntil.IsZero() || h.isOnItsWay(n.ID) {
			h.maybe[n.ID] = true
		}
	}
	h.chosen, h.sent = nil, nil
	reopen(h, h.s)
}

// decide decides by what is wished now.
func (h *heldPhone) decide(w Work) ring.Decision {
	d, m := ring.Decision{Verdict: ring.Now}, h.mail(w.Notification.ID)
	if m != nil {
		d.Verdict = m.wished
		defer func() { m.decided = d.Verdict }()
	}
	if m != nil && m.matters || w.Notification.Kind == idlepush.KindClear || d.Verdict == ring.Not {
		return d
	}
	until := h.quiet
	if n := len(w.NotifiedAt) - heldBurst; n >= 0 && w.NotifiedAt[n].Add(heldWindow).After(until) {
		until = w.NotifiedAt[n].Add(heldWindow)
	}
	if until.After(h.now) {
		d = heldUntil(until)
	}
	return d
}

// serve does the next thing with the queue, and reports whether there was one.
func (h *heldPhone) serve() bool {
	if h.chosen != nil {
		w := *h.chosen
		h.chosen = nil
		switch {
		case w.HoldEnded:
			h.must(errOf(h.s.Outbox.Combine(w, h.now, h.decide)))
		case w.Decision.Verdict.Shows():
			h.send(w)
		default:
			h.must(h.s.Outbox.Decide(w, h.now, h.decide))
		}
		return true
	}
	if len(h.sent) == 0 {
		w, ok, err := h.s.Outbox.Next(h.device.ID, h.now)
		if h.must(err); ok {
			h.choose(w)
		}
		return ok
	}
	w := h.sent[len(h.sent)-1]
	if h.of(2) == 1 {
		next, ok, err := h.s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, h.now)
		if h.must(err); ok && !next.HoldEnded && h.decide(next).Verdict.Shows() {
			h.choose(next)
			return true
		}
	}
	h.sent = nil
	h.must(settleWork(h.s, w, Outcome{Result: ResultDelivered}, h.now))
	return true
}

func (h *heldPhone) choose(w Work) {
	w.KeepNotified, w.Decision = heldBurst, h.decide(w)
	h.chosen = &w
	n := w.Notification
	h.say("      %s %s of %d: hold ended %v, %s", n.Kind, n.ID, n.Count, w.HoldEnded, w.Decision.Verdict)
	if want := h.counted(h.list())[n.ID]; n.Kind == idlepush.KindSummary && n.Count != want && !h.maybe[n.ID] {
		h.Errorf("a summary says %d, and counts %d", n.Count, want)
	}
}

// send sends the work. The service accepts it, refuses it for now, or does not answer.
func (h *heldPhone) send(w Work) {
	answer := h.of(8)
	if answer < 6 || answer == 6 && h.of(2) == 0 {
		h.show(w)
	}
	if h.sent = append(h.sent, w); answer < 6 {
		return
	}
	h.maybe[w.Notification.ID] = h.maybe[w.Notification.ID] || answer == 6
	h.sent = nil
	h.must(settleWork(h.s, w, Outcome{Result: ResultRetry, At: h.now, MaybeDelivered: answer == 6}, h.now))
}

// show has the device show the work, and take away what it clears.
func (h *heldPhone) show(w Work) {
	into := make(map[string]string)
	for _, n := range h.list() {
		into[n.ID] = n.Deliveries[0].Into
	}
	gone := slices.Concat(w.Clear, w.Notification.Clear)
	for _, id := range gone {
		if sum := into[id]; !h.shows[id] && !h.maybe[id] && !h.shows[sum] && !h.maybe[sum] {
			h.Errorf("a clear of %s, which is not shown", id)
		}
	}
	for _, id := range gone {
		delete(h.shows, id)
		h.maybe[id] = true // it may be sent again
	}
	if w.Notification.Kind != idlepush.KindClear {
		h.shows[w.Notification.ID] = true
	}
}

// serveAll serves the queue until nothing is to be sent now, and checks what the device shows then.
func (h *heldPhone) serveAll() {
	for h.serve() {
	}
	list := h.list()
	counted := h.counted(list)
	for _, n := range list {
		if d := n.Deliveries[0]; d.State == idlepush.DeliveryPending {
			latest := h.now.Add(heldWindow)
			if h.quiet.After(latest) {
				latest = h.quiet
			}
			if until := d.HeldUntil; !until.After(h.now) || until.After(latest) || !dueNow(h, h.s, until)[h.device.ID] {
				h.Errorf("a %s waits until %v; then the device is due: %v", n.Kind, until, dueNow(h, h.s, until)[h.device.ID])
			}
		}
		if m := h.mail(n.ID); m != nil {
			h.settled(m, n.Deliveries[0].State)
			continue
		}
		left, waits := counted[n.ID], n.Deliveries[0].State == idlepush.DeliveryPending
		told := waits || h.shows[n.ID]
		if n.Count-n.Read != left || told != (left > 0) && (left > 0 || waits || !h.device.MustShow) {
			h.Errorf("a summary of %d counts %d, %d of them read; it waits: %v, is shown: %v", left, n.Count, n.Read, waits, h.shows[n.ID])
		}
	}
}

// settled checks that a mail stands as what has become of it.
func (h *heldPhone) settled(m *heldMail, state idlepush.DeliveryState) {
	shown := h.shows[m.id]
	ok := !m.read || !shown || h.device.MustShow // a browser takes it away with its next push
	switch state {
	case idlepush.DeliveryDelivered:
		ok = ok && (m.read || shown)
	case idlepush.DeliveryCombined:
		ok = ok && !shown
	case idlepush.DeliveryCleared:
		ok = ok && m.read
	case idlepush.DeliveryPending:
		ok = ok && !m.read && m.decided == ring.Held && (!shown || h.maybe[m.id])
	case idlepush.DeliverySkipped:
		ok = ok && m.decided == ring.Not && (!shown || h.maybe[m.id])
	default:
		ok = false
	}
	if !ok {
		h.Errorf("mail %d is %s, and was decided as %s; read: %v, shown: %v", m.uid, state, m.decided, m.read, shown)
	}
}

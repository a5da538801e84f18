package registry

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

// script makes each choice of a run from the next byte.
type script struct{ bytes []byte }

// of gives a number below n; 0 at the end of the script.
func (c *script) of(n int) int {
	if len(c.bytes) == 0 {
		return 0
	}
	b := c.bytes[0]
	c.bytes = c.bytes[1:]
	return int(b) % n
}

// run is a store and its model under the same calls.
type run struct {
	testing.TB
	*script
	s     *Store
	m     *model
	now   time.Time
	users []idlepush.User
	taken map[string]Work // by device
	log   []string
}

// say keeps what was done for when it fails.
func (r *run) say(format string, args ...any) { r.log = append(r.log, fmt.Sprintf(format, args...)) }

var operations = []struct {
	name   string
	weight int
	do     func(*run)
}{
	{"record", 8, (*run).record},
	{"decide", 3, (*run).decide},
	{"ring excess", 2, (*run).ringExcess},
	{"fill in", 4, (*run).fillIn},
	{"take", 8, (*run).take},
	{"settle", 10, (*run).settle},
	{"put device", 4, (*run).putDevice},
	{"update device", 2, (*run).updateDevice},
	{"remove device", 1, (*run).removeDevice},
	{"add account", 2, (*run).addAccount},
	{"update account", 2, (*run).updateAccount},
	{"remove account", 1, (*run).removeAccount},
	{"pause", 3, (*run).pauseLane},
	{"probe lanes", 1, (*run).probeLanes},
	{"purge", 1, (*run).purge},
	{"time", 4, (*run).passTime},
	{"reopen", 1, (*run).reopen},
}

// play runs a script and holds the store to the model after each step.
func play(t *testing.T, bytes []byte) {
	cryptotest.SetGlobalRandom(t, 1) // the same ids again
	s := newStore(t)
	s.bounds.mails = modelDaily
	r := &run{TB: t, script: &script{bytes}, s: s, m: newModel(), now: dawn, taken: map[string]Work{}}
	for _, name := range []string{"ann", "bob", "eve"} {
		r.users = append(r.users, someone(t, s, name))
	}
	for range 2 {
		r.addAccount()
		r.putDevice()
	}
	var wheel []int
	for i, o := range operations {
		wheel = append(wheel, slices.Repeat([]int{i}, o.weight)...)
	}
	for len(r.bytes) > 0 {
		o := operations[wheel[r.of(len(wheel))]]
		r.say("%s: %s", r.now.Format("02 15:04:05.999"), o.name)
		o.do(r)
		r.compare()
		if t.Failed() {
			t.Fatalf("after\n%s", strings.Join(r.log, "\n"))
		}
	}
}

func TestRandomCalls(t *testing.T) {
	random := testenv.Rand(t)
	for i := range testenv.Tenth(60) {
		bytes := make([]byte, 700)
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
		t.Run(fmt.Sprint("script ", i), func(t *testing.T) { play(t, bytes) })
	}
}

func FuzzRandomCalls(f *testing.F) {
	f.Add([]byte("a first script"))
	f.Fuzz(func(t *testing.T, bytes []byte) { play(t, bytes[:min(len(bytes), 2000)]) })
}

// compare holds all that the store has to the model, and what it calls due.
func (r *run) compare() {
	r.Helper()
	checkRows(r, r.s)
	got, err := r.dump()
	if err != nil {
		r.Fatal(err)
	}
	if want := r.m.dump(); got != want {
		only := func(what, of, not string) {
			r.Helper()
			for line := range strings.Lines(of) {
				if !strings.Contains(not, line) {
					r.Errorf("%s has %s", what, line)
				}
			}
		}
		only("the store", got, want)
		only("the model", want, got)
	}
	var waits []Queue
	for _, d := range r.m.devices {
		if !d.due.IsZero() {
			waits = append(waits, Queue{Device: d.ID, User: d.User, Lane: d.Lane, Slow: d.slow, Due: d.due})
		}
	}
	for _, n := range []int{2, 100} {
		list, err := r.s.Outbox.Due(r.now, room(n), r.busy())
		if want := wantDue(waits, r.m.lanes, r.now, room(n), r.busy()); err != nil || !slices.EqualFunc(list, want, sameQueue) {
			r.Errorf("room for %d: due %v, %v; want %v", n, list, err, want)
		}
	}
}

func (r *run) busy() map[string]Queue {
	busy := map[string]Queue{}
	for id, w := range r.taken {
		busy[id] = Queue{Device: id, Lane: w.Lane}
	}
	return busy
}

// dump is the store's rows in the model's words.
func (r *run) dump() (string, error) {
	var b strings.Builder
	s := r.s
	err := s.db.View(func(tx *table.Tx) error {
		phones := all(r, tx, devices)
		slices.SortFunc(phones, func(a, b table.Row[deviceKey, deviceRow]) int { return cmp.Compare(a.Key.device, b.Key.device) })
		for _, row := range phones {
			d, _, err := unsealDevice(tx, row)
			if err != nil {
				return err
			}
			waits, err := waiting.First(tx, table.Under(id(d.ID)), table.NoLimit)
			if err != nil {
				return err
			}
			slices.SortFunc(waits, func(a, b table.Entry[waitingKey, deliveryKey]) int { return cmp.Compare(a.Index.seq, b.Index.seq) })
			var names []string
			for _, e := range waits {
				n, _, err := notifications.Get(tx, e.Key.notification)
				if err != nil {
					return err
				}
				names = append(names, n.ID)
			}
			dumpDevice(&b, d, d.Due, names)
		}
		var lines []string
		for _, row := range all(r, tx, notifications) {
			line := "notification " + row.Value.ID
			list, err := deliveries.First(tx, table.Under(deliveryPrefix(row.Key)), table.NoLimit)
			if err != nil {
				return err
			}
			for _, d := range list {
				line += fmt.Sprintf(" %s:%s/%d/%v", d.Key.device, d.Value.State, d.Value.Attempts, !d.Value.DeliveredBefore.IsZero())
			}
			lines = append(lines, line+"\n")
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
		for _, a := range all(r, tx, accounts) {
			c, _, err := cursors.Get(tx, folderKey{a.Key, "INBOX"})
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "account %s %v %v next %d\n", a.Key, a.Value.Enabled, a.Value.sharers(), c.Next)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	list, err := s.Devices.Lanes()
	for _, l := range list {
		dumpLane(&b, l)
	}
	return b.String(), err
}

// pick gives one of a map's keys, always the same for the same script; "" where there is none.
func pick[V any](r *run, of map[string]V) string {
	keys := slices.Sorted(maps.Keys(of))
	if len(keys) == 0 {
		return ""
	}
	return keys[r.of(len(keys))]
}

// want holds an error to what the model expects; nil: none.
func (r *run) want(err, want error) {
	r.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		r.Errorf("error %v, want %v", err, want)
	}
}

package registry

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/registry/testenv"
)

// outcome is what a call has done, in words: all that is seen of the store but when it was written,
// and in how many pieces what is to be taken away comes, and from whom that was told nothing.
func (b *estate) outcome() map[string]string {
	b.Helper()
	words := content(b, b.s)
	maps.DeleteFunc(words, func(name, _ string) bool {
		table, _, _ := strings.Cut(name, " ")
		return slices.Contains([]string{"notification", "delivery", "queue", "meta", "account", "device"}, table)
	})
	shown := make(map[string]bool)
	taken := make(map[string]string)
	err := b.s.db.View(func(tx *table.Tx) error {
		for _, d := range all(b, tx, deliveries) {
			n, _, err := notifications.Get(tx, d.Key.notification)
			if err != nil {
				return err
			}
			for _, gone := range n.Clear {
				taken[string(d.Key.device)+" of "+gone] = string(d.Value.State)
			}
			if n.Kind == idlepush.KindClear {
				continue
			}
			name := string(d.Key.device) + " of " + n.ID
			shown[name] = d.Value.State == idlepush.DeliveryDelivered || d.Value.MaybeDelivered
			words[name] = fmt.Sprint(d.Value.State, d.Value.Into, d.Value.DeliveredBefore, d.Value.Attempts, n.Count, n.Read, n.Cleared)
		}
		for _, row := range all(b, tx, queues) {
			at := row.Value.Due
			if at.After(dawn.Add(maxAge)) {
				at = dawn // it was finished when the store was opened, by the clock
			}
			words["queue "+string(row.Key)] = at.Truncate(time.Second).String()
		}
		for _, row := range all(b, tx, accounts) {
			words["account "+string(row.Key)] = fmt.Sprint(row.Value.sharers(), row.Value.offeredTo(), row.Value.Enabled)
		}
		for _, row := range all(b, tx, devices) {
			words["device "+string(row.Key.device)] = row.Value.Name
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, state := range taken {
		if shown[name] {
			words["take away from "+name] = state
		}
	}
	return words
}

// open opens a copy of the files.
func (b *estate) open(t *testing.T, made map[string][]byte, o Options) *estate {
	t.Helper()
	c := *b
	dir := t.TempDir()
	for name, data := range made {
		putFile(t, filepath.Join(dir, name), data)
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	c.TB, c.s = t, s
	return &c
}

func (b *estate) close() {
	b.Helper()
	checkRows(b, b.s)
	if err := b.s.db.Close(); err != nil {
		b.Error(err)
	}
	os.RemoveAll(b.s.dir)
}

// TestCallsInSteps does what it does in one, also if one of them fails, and the
// caller tries again.
func TestCallsInSteps(t *testing.T) {
	if boundGiven() > 0 {
		return
	}
	for _, c := range larges {
		t.Run(c.name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			s := newStore(t)
			b := &estate{TB: t, s: s, ann: someone(t, s, "ann")}
			b.a, b.d = mailbox(t, s, b.ann, "ann@example.org"), phone(t, s, b.ann, "first")
			c.prepare(b)
			made := filesOf(t, s)
			whole := b.open(t, made, unsynced)
			defer whole.close()
			if err := c.do(whole); err != nil {
				t.Fatal(err)
			}
			want := whole.outcome()
			random := testenv.Rand(t)
			// So that each of its steps ends here and there.
			for less := 1; less < 20 && !c.fits; less += 6 {
				c.failing(t, b, made, want, -1, bound-less)
			}
			steps := c.failing(t, b, made, want, -1, bound)
			if steps < 2 && !c.fits {
				t.Errorf("it takes %d transactions", steps)
			}
			// By default, of the transactions of a call two or three, chosen at random.
			apart := max(1, steps/testenv.Tenth(20))
			for n := 1 + random.IntN(apart); n <= steps; n += apart {
				c.failing(t, b, made, want, n, bound)
				c.killed(t, b, made, want, n)
			}
		})
	}
}

// failing makes the call with a bound, while the transaction of that number fails, and then again.
// It returns how many transactions the call took.
func (c large) failing(t *testing.T, b *estate, made map[string][]byte, want map[string]string, n, bound int) (asked int) {
	t.Helper()
	armed := false
	with := b.open(t, made, Options{NoSync: true, Bound: bound, Fault: func() error {
		if armed {
			if asked++; asked == n {
				return errFault
			}
		}
		return nil
	}})
	defer with.close()
	armed = true
	err := c.do(with)
	armed = false
	what := fmt.Sprintf("transaction %d of %d fails", n, asked)
	if n > 0 && !errors.Is(err, errFault) || n < 0 && err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if n > 0 {
		if err := c.do(with); err != nil && (c.gone == nil || !errors.Is(err, c.gone)) {
			t.Errorf("%s, then: %v", what, err)
		}
		// What an earlier call has left is done by any that follows.
		if err := with.s.updateQueues(dawn, func(*queueSet) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	differ(t, what, with.outcome(), want)
	return asked
}

// killed is failing for a program that ends there, and begins anew.
func (c large) killed(t *testing.T, b *estate, made map[string][]byte, want map[string]string, n int) {
	t.Helper()
	asked, armed := 0, false
	with := b.open(t, made, Options{NoSync: true, Bound: bound, Fault: func() error {
		if armed {
			if asked++; asked >= n {
				return errFault
			}
		}
		return nil
	}})
	armed = true
	if err := c.do(with); !errors.Is(err, errFault) {
		t.Errorf("it ends at transaction %d: %v", n, err)
	}
	if err := with.s.db.Close(); err != nil {
		t.Error(err)
	}
	s, err := Open(with.s.dir, Options{NoSync: true, Bound: bound})
	if err != nil {
		t.Fatal(err)
	}
	with.s = s
	defer with.close()
	what := fmt.Sprintf("it ends at transaction %d, and begins anew", n)
	if err := c.do(with); err != nil && (c.gone == nil || !errors.Is(err, c.gone)) {
		t.Errorf("%s: %v", what, err)
	}
	if c.recount != nil {
		c.recount(t, with)
		return
	}
	differ(t, what, with.outcome(), want)
}

// recountMails holds the device to be told of each mail once: by itself, or in a summary that
// counts it.
func recountMails(t *testing.T, b *estate) {
	t.Helper()
	into, count := make(map[string]int), make(map[string]int)
	err := b.s.db.View(func(tx *table.Tx) error {
		for _, d := range all(b, tx, deliveries) {
			n, _, err := notifications.Get(tx, d.Key.notification)
			if err != nil {
				return err
			}
			switch {
			case n.Kind == idlepush.KindSummary && d.Value.State == idlepush.DeliveryPending:
				count[n.ID] = n.Count
			case d.Value.State == idlepush.DeliveryCombined:
				into[d.Value.Into]++
			case d.Value.State != idlepush.DeliveryPending:
				t.Errorf("mail %s is %s", n.ID, d.Value.State)
			}
		}
		return nil
	})
	if err != nil || !maps.Equal(into, count) {
		t.Errorf("summaries count %v, and %v went into them, %v", count, into, err)
	}
}

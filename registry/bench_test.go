package registry

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"idlepush"
	"idlepush/registry/table"
)

// household is 100 users, each with a mailbox and a phone.
type household struct {
	s        *Store
	accounts []idlepush.Account
	devices  []idlepush.Device
}

func newHousehold(b *testing.B) household {
	h := household{s: newStore(b)}
	for i := range 100 {
		u := someone(b, h.s, fmt.Sprint(i))
		h.accounts = append(h.accounts, mailbox(b, h.s, u, fmt.Sprintf("%d@example.org", i)))
		h.devices = append(h.devices, phone(b, h.s, u, fmt.Sprint(i)))
	}
	h.sync(b)
	return h
}

// sync opens the store anew, as a program has it.
func (h household) sync(b *testing.B) {
	if err := h.s.Close(); err != nil {
		b.Fatal(err)
	}
	again, err := Open(h.s.dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	*h.s = *again
}

// rounds is in how many parts a benchmark runs its calls and the bare Updates by turns, so that
// both have the same disk.
const rounds = 20

// spread runs b.N calls over so many writers, each of which has numbers of its own. It reports how
// long one took as a ratio to one of the bare Updates, and their pace as a ratio to that of bbolt's
// own way to share commits: Batch, with one row of each writer.
func spread(b *testing.B, writers int, floor *bareUpdates, call func(writer int) error) {
	batch := newBareUpdates(b, 500)
	b.ResetTimer()
	for round := range rounds {
		b.StopTimer()
		floor.run(b)
		calls := b.N*(round+1)/rounds - b.N*round/rounds
		if writers > 1 { // one alone would wait 10 ms for others
			began := time.Now()
			together(b, writers, calls, func(int) error { return batch.put() })
			batch.took += time.Since(began)
		}
		b.StartTimer()
		together(b, writers, calls, call)
	}
	b.StopTimer()
	each := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(float64(each)/float64(floor.took/time.Duration(floor.calls)), "x-bare-Update")
	if writers > 1 {
		b.ReportMetric(float64(batch.took)/float64(b.Elapsed()), "x-Batch-pace")
	}
	b.ReportMetric(float64(time.Second)/float64(each), "calls/s")
}

// together makes so many calls from as many goroutines as there are writers.
func together(b *testing.B, writers, calls int, call func(writer int) error) {
	var left atomic.Int64
	left.Store(int64(calls))
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// bareUpdates measures bbolt alone, in a file of its own: one Update per call, with as many rows of
// such sizes as the call that is measured.
type bareUpdates struct {
	db    *bolt.DB
	sizes []int
	calls int
	took  time.Duration
	next  atomic.Uint64 // of the rows of put
}

func newBareUpdates(b *testing.B, sizes ...int) *bareUpdates {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	err = db.Update(func(tx *bolt.Tx) error {
		for i := range sizes {
			if _, err := tx.CreateBucket([]byte{byte(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return &bareUpdates{db: db, sizes: sizes}
}

func (f *bareUpdates) run(b *testing.B) {
	began := time.Now()
	for range 300 / rounds {
		f.calls++
		err := f.db.Update(func(tx *bolt.Tx) error {
			for i, size := range f.sizes {
				if err := tx.Bucket([]byte{byte(i)}).Put(table.AppendUint64(nil, uint64(f.calls)), bytes.Repeat([]byte{'x'}, size)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	f.took += time.Since(began)
}

// put writes one row by Batch.
func (f *bareUpdates) put() error {
	n := f.next.Add(1)
	return f.db.Batch(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte{0}).Put(table.AppendUint64(nil, n), bytes.Repeat([]byte{'x'}, f.sizes[0]))
	})
}

var benchWriters = []int{1, 16, 64, 100}

func BenchmarkRecord(b *testing.B) {
	for _, writers := range benchWriters {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			h := newHousehold(b)
			next := make([]uint32, writers)
			// Notification, messages, outbox, queue, due, cursor, fingerprint, announced, unread.
			floor := newBareUpdates(b, 500, 40, 40, 200, 10, 80, 40, 40, 2)
			spread(b, writers, floor, func(i int) error {
				from := Cursor{UIDValidity: 7, Next: next[i] + 1}
				if next[i] == 0 {
					from = Cursor{}
				}
				next[i]++
				unread := int(next[i])
				_, err := h.s.Mail.Record(Arrival{Account: h.accounts[i].ID, Folder: "INBOX", From: from, To: Cursor{UIDValidity: 7, Next: next[i] + 1}, Unread: &unread,
					Mails: []Message{{UID: next[i], Fingerprint: fmt.Sprintf("<%d.%d@example.org>", i, next[i]), Content: idlepush.Content{From: "Ann Example", Subject: "Dinner on Sunday?"}}}, At: dawn})
				return err
			})
		})
	}
}

func BenchmarkSettle(b *testing.B) {
	for _, writers := range benchWriters {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			h := newHousehold(b)
			for i := range h.accounts {
				arrive(b, h.s, h.accounts[i], 2, dawn)
			}
			// Notification, queue, due.
			floor := newBareUpdates(b, 500, 200, 10)
			spread(b, writers, floor, func(i int) error {
				w, _, err := h.s.Outbox.Next(h.devices[i].ID, dawn)
				if err != nil {
					return err
				}
				return settleWork(h.s, w, Outcome{Result: ResultRetry, At: dawn, Reason: because("busy", "The service is busy.")}, dawn)
			})
		})
	}
}

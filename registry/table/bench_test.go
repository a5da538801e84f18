package table

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// delivery is a row like those of the store.
type delivery struct {
	State    string
	At       time.Time
	Code     string `json:",omitempty"`
	Attempts int    `json:",omitempty"`
}

var deliveries = New[number, delivery]("deliveries")

// benchmarkRows is the number of rows in the file when a benchmark begins.
const benchmarkRows = 10_000

// change returns the row that the i-th transaction of a benchmark writes. It differs from the one
// in the file.
func change(i int) (number, delivery) {
	at := time.Date(2026, 11, 1, 12, 0, i/benchmarkRows%60, 0, time.UTC)
	return number(i % benchmarkRows << 16), delivery{"delivered", at, "", i % 10}
}

// writeBare writes the row of [change] with bbolt alone.
func writeBare(db *DB, i int) error {
	k, row := change(i)
	data, err := encode(row)
	if err != nil {
		return err
	}
	return db.bolt.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("deliveries")).Put((k + 1).Append(nil), data)
	})
}

func writeOurs(db *DB, i int) error {
	k, row := change(i)
	return db.Update(func(tx *Tx) error { return deliveries.Put(tx, k+2, row) })
}

func newBenchmarkDB(b *testing.B, o Options) *DB {
	b.Helper()
	o.Key = make([]byte, KeySize)
	db, err := Create(filepath.Join(b.TempDir(), "db"), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	err = db.Update(func(tx *Tx) error {
		for i := range benchmarkRows {
			k, row := change(i)
			if err := deliveries.Put(tx, k, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// compare runs bare and ours by turns, with the same arguments, and reports the ratio of their
// times.
func compare(b *testing.B, bare, ours func(i int) error) {
	b.Helper()
	const turn = 64
	var took [2]time.Duration
	b.ReportAllocs()
	for done := 0; done < b.N; done += turn {
		for which, call := range []func(int) error{bare, ours} {
			began := time.Now()
			for i := range turn {
				if err := call(done + i); err != nil {
					b.Fatal(err)
				}
			}
			took[which] += time.Since(began)
		}
	}
	calls := float64((b.N + turn - 1) / turn * turn)
	b.ReportMetric(float64(took[0])/calls, "bare-ns/op")
	b.ReportMetric(float64(took[1])/calls, "ours-ns/op")
	b.ReportMetric(float64(took[1])/float64(took[0]), "ours/bare")
}

// BenchmarkPutAlone writes one row in each transaction.
func BenchmarkPutAlone(b *testing.B) {
	for _, noSync := range []bool{true, false} {
		b.Run(fmt.Sprintf("sync=%v", !noSync), func(b *testing.B) {
			db := newBenchmarkDB(b, Options{NoSync: noSync})
			compare(b, func(i int) error { return writeBare(db, i) }, func(i int) error { return writeOurs(db, i) })
		})
	}
}

// BenchmarkPutTogether has 100 writers that write one row in each transaction, at the same time.
func BenchmarkPutTogether(b *testing.B) {
	for _, noSync := range []bool{true, false} {
		for name, put := range map[string]func(*DB, int) error{"bare": writeBare, "ours": writeOurs} {
			b.Run(fmt.Sprintf("sync=%v/%s", !noSync, name), func(b *testing.B) {
				db := newBenchmarkDB(b, Options{NoSync: noSync})
				var next atomic.Int64
				b.SetParallelism(100 / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := put(db, int(next.Add(1))); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// BenchmarkGet reads one row in each transaction. The run with bbolt alone decodes it, too.
func BenchmarkGet(b *testing.B) {
	db := newBenchmarkDB(b, Options{NoSync: true})
	bare := func(i int) error {
		return db.bolt.View(func(tx *bolt.Tx) error {
			var row delivery
			return decode(tx.Bucket([]byte("deliveries")).Get(number(i%benchmarkRows<<16).Append(nil)), &row)
		})
	}
	ours := func(i int) error {
		return db.View(func(tx *Tx) error {
			_, _, err := deliveries.Get(tx, number(i%benchmarkRows<<16))
			return err
		})
	}
	compare(b, bare, ours)
}

// BenchmarkFirst reads 50 rows in each transaction. The run with bbolt alone decodes them, too.
func BenchmarkFirst(b *testing.B) {
	const rows = 50
	db := newBenchmarkDB(b, Options{NoSync: true})
	from := func(i int) number { return number(i % (benchmarkRows - rows) << 16) }
	bare := func(i int) error {
		return db.bolt.View(func(tx *bolt.Tx) error {
			var list []Row[number, delivery]
			c := tx.Bucket([]byte("deliveries")).Cursor()
			for k, v := c.Seek(from(i).Append(nil)); len(list) < rows; k, v = c.Next() {
				row := Row[number, delivery]{}
				row.Key, _ = row.Key.Parse(k)
				if err := decode(v, &row.Value); err != nil {
					return err
				}
				list = append(list, row)
			}
			return nil
		})
	}
	ours := func(i int) error {
		return db.View(func(tx *Tx) error {
			list, err := deliveries.First(tx, Range{}.From(from(i)), rows)
			if len(list) != rows {
				return fmt.Errorf("%d rows, %w", len(list), err)
			}
			return err
		})
	}
	compare(b, bare, ours)
}

// BenchmarkScanLargeTx reads one row in a transaction that has written 10,000. It must not go
// through all of them.
func BenchmarkScanLargeTx(b *testing.B) {
	db := newDB(b, Options{})
	update(b, db, func(tx *Tx) error {
		for i := range 10_000 {
			if err := words.Put(tx, Text(fmt.Sprintf("word %04d", i)), ""); err != nil {
				return err
			}
		}
		for b.Loop() {
			if rows, err := words.First(tx, Under(Text("word 5000")), 1); err != nil || len(rows) != 1 {
				b.Fatal(len(rows), err)
			}
		}
		return nil
	})
}

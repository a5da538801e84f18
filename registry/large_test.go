package registry

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// largeMails is how many mails the large store keeps. Its file has about 300 MB.
const largeMails = 170_000

// BenchmarkLargeStore measures a store with a week of much mail: 100 users with a mailbox and a
// phone each, and one user with nothing.
func BenchmarkLargeStore(b *testing.B) {
	h := newHousehold(b)
	nobody := someone(b, h.s, "nobody")
	was := storeSize(b, h.s)
	for i := range largeMails / MaxMails {
		a := h.accounts[i%len(h.accounts)]
		arrive(b, h.s, a, MaxMails, dawn.Add(time.Duration(i)*time.Second))
	}
	kept := float64(storeSize(b, h.s)-was) / largeMails
	for name, user := range map[string]string{"nobody": nobody.ID, "somebody": h.accounts[0].Owner} {
		b.Run("history of "+name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := h.s.History.List(user, "", 50, dawn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			reopen(b, h.s)
		}
		b.ReportMetric(kept, "bytes/mail")
	})
	b.Run("open after a crash", func(b *testing.B) {
		for b.Loop() {
			if err := h.s.Close(); err != nil {
				b.Fatal(err)
			}
			if err := os.Remove(filepath.Join(h.s.dir, storeFile+".closed")); err != nil {
				b.Fatal(err)
			}
			again, err := Open(h.s.dir, unsynced)
			if err != nil {
				b.Fatal(err)
			}
			*h.s = *again
		}
	})
}

func storeSize(b *testing.B, s *Store) int64 {
	b.Helper()
	info, err := os.Stat(filepath.Join(s.dir, storeFile))
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

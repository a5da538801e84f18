package registry

import (
	"fmt"
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
	b.Run("purge of nothing", func(b *testing.B) {
		for b.Loop() {
			if err := h.s.Purge(b.Context(), dawn.Add(largeMails/MaxMails*time.Second)); err != nil {
				b.Fatal(err)
			}
		}
	})
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

// BenchmarkAddAccount adds mailboxes beside many.
func BenchmarkAddAccount(b *testing.B) {
	for _, there := range []int{10, 1000} {
		b.Run(fmt.Sprintf("beside %d", there), func(b *testing.B) {
			s := newStore(b)
			owner := someone(b, s, "owner")
			for i := range there {
				mailbox(b, s, owner, fmt.Sprintf("%d@example.org", i))
			}
			for i := there; b.Loop(); i++ {
				mailbox(b, s, owner, fmt.Sprintf("%d@example.org", i))
			}
		})
	}
}

func storeSize(b *testing.B, s *Store) int64 {
	b.Helper()
	info, err := os.Stat(filepath.Join(s.dir, storeFile))
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

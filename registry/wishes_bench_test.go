package registry

import (
	"fmt"
	"testing"
	"time"

	"idlepush/ring"
)

// BenchmarkNext reports how long Next takes with the most that one can wish of a mailbox, and that
// as a ratio to Next without wishes.
func BenchmarkNext(b *testing.B) {
	s := newStore(b)
	ann := someone(b, s, "ann")
	a, d := mailbox(b, s, ann, "ann@example.org"), phone(b, s, ann, "phone")
	arrive(b, s, a, 1, dawn)
	took := func(n int) time.Duration {
		began := time.Now()
		for range n {
			if _, ok, err := s.Outbox.Next(d.ID, dawn); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
		return time.Since(began)
	}
	without := took(b.N)
	var w ring.Wishes
	for i := range ring.MaxPeople {
		w.People = append(w.People, fmt.Sprintf("person.%d@example.org", i))
	}
	for i := range ring.MaxRules {
		w.Rules = append(w.Rules, ring.Rule{If: ring.Match{From: []string{fmt.Sprintf("sender.%d@example.org", i)}, Subject: []string{"invoice", "newsletter"}}})
	}
	wish(b, s, ann, a, w)
	took(1)
	b.ResetTimer()
	with := took(b.N)
	b.ReportMetric(float64(with)/float64(without), "x-without-wishes")
}

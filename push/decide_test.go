package push

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/ring"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 23, 0, 0, 0, time.UTC)
	q := question{kind: idlepush.KindMail, account: "a", folder: "INBOX", facts: foldFacts(ring.Facts{From: "ann@example.org"}), now: now,
		on: ring.DeviceWishes{Quiet: ring.Quiet{Zone: "Europe/Berlin", Hours: []ring.Hours{{Days: []time.Weekday{1}, From: 22 * 60, To: 7 * 60}}, Mode: ring.QuietHold, People: true}}}
	if d := decide(q); d.Verdict != ring.Held || d.Params["until"] != "07:00" || d.Until.Sub(now) != 7*time.Hour {
		t.Error(d)
	}
	q.wishes = foldWishes(ring.Wishes{People: []string{"@example.org"}})
	if d := decide(q); d.Verdict != ring.Now || !d.Loud {
		t.Error(d)
	}
}

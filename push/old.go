package push

import (
	"errors"
	"fmt"
	"time"

	"idlepush/registry"
)

const (
	// maxOldAlone is how many old mails that are decided on together ring one by one.
	maxOldAlone = 5

	// importEnds is how long no old mail of a folder comes after an import one by one.
	importEnds = time.Minute

	// maxImport is how long old mail of a folder waits for that, at most.
	maxImport = time.Hour
)

// ringsAlone reports whether so many old mails ring one by one. More of them are an import or a
// folder that was moved: one summary rings for them.
func ringsAlone(old int) bool { return old <= maxOldAlone }

// importGoesOn reports whether more old mail of the folder is to be expected: some was decided on
// lately, and the last came just now. Times after now are from before the clock was set back.
func importGoesOn(m registry.OldMail, now time.Time) bool {
	within := func(t time.Time, d time.Duration) bool { return !t.After(now) && now.Sub(t) < d }
	return within(m.Decided, maxImport) && within(m.Found, importEnds)
}

// decideOld decides how the old mail rings that looks have found. What it cannot decide on holds up
// no other.
func (d *Dispatcher) decideOld(now time.Time) error {
	list, err := d.Store.OldMail()
	for _, m := range list {
		if importGoesOn(m, now) {
			continue
		}
		decide := d.Store.SumUpOld
		if ringsAlone(m.Count) {
			decide = d.Store.RingOld
		}
		if failed := decide(m, now); failed != nil {
			err = errors.Join(err, fmt.Errorf("account %s, folder %q: %w", m.Account, m.Folder, failed))
			continue
		}
		d.Log.Info("old mail was found", "account", m.Account, "folder", m.Folder, "count", m.Count, "alone", ringsAlone(m.Count))
	}
	return err
}

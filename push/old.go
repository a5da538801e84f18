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

	// maxImport is how long old mail of a folder waits after a decision, at most.
	maxImport = time.Hour
)

// ringsAlone reports whether the old mails ring one by one. With those decided on earlier, more of
// them are an import or a folder that was moved: one summary rings for them.
func ringsAlone(m registry.OldMail) bool { return m.Earlier+m.Count <= maxOldAlone }

// importGoesOn reports whether old mail of the folder is to wait for more: some was decided on
// lately, and the last came just now or as many were decided on as may ring one by one.
func importGoesOn(m registry.OldMail, now time.Time) bool {
	return isWithin(now, m.Decided, maxImport) && (isWithin(now, m.Found, importEnds) || m.Earlier >= maxOldAlone)
}

// isWithin reports whether t is less than d ago. A time after now, from before the clock was set
// back, is not.
func isWithin(now, t time.Time, d time.Duration) bool { return !t.After(now) && now.Sub(t) < d }

// decide decides what rings of the old mail and the excess mail that was found.
func (d *Dispatcher) decide(now time.Time) error {
	return errors.Join(d.decideOld(now), d.ringExcess(now))
}

// decideOld decides how the old mail rings that looks have found. What it cannot decide on holds up
// no other.
func (d *Dispatcher) decideOld(now time.Time) error {
	list, err := d.Store.OldMail()
	for _, m := range list {
		if importGoesOn(m, now) {
			continue
		}
		if !isWithin(now, m.Decided, maxImport) {
			m.Earlier = 0 // that import has ended
		}
		decide := d.Store.SumUpOld
		if ringsAlone(m) {
			decide = d.Store.RingOld
		}
		if failed := decide(m, now); failed != nil {
			err = errors.Join(err, fmt.Errorf("account %s, folder %q: %w", m.Account, m.Folder, failed))
			continue
		}
		d.Log.Info("old mail was found", "account", m.Account, "folder", m.Folder, "count", m.Count, "alone", ringsAlone(m))
	}
	return err
}

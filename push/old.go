package push

import "time"

// maxOldAlone is how many old mails of one look ring one by one.
const maxOldAlone = 5

// ringsAlone reports whether so many old mails of one look ring one by one. More of them are an
// import or a folder that was moved: one summary rings for them.
func ringsAlone(old int) bool { return old <= maxOldAlone }

// decideOld decides how the old mail rings that looks have found.
func (d *Dispatcher) decideOld(now time.Time) error {
	list, err := d.Store.OldMail()
	if err != nil {
		return err
	}
	for _, m := range list {
		decide := d.Store.SumUpOld
		if ringsAlone(m.Count) {
			decide = d.Store.RingOld
		}
		if err := decide(m, now); err != nil {
			return err
		}
		d.Log.Info("old mail was found", "account", m.Account, "folder", m.Folder, "count", m.Count, "alone", ringsAlone(m.Count))
	}
	return nil
}

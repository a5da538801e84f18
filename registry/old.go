package registry

import (
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// Old mail was received long before it was found. The watcher finds it, and push decides how it
// rings, once the look that found it has ended. Until then a summary stands for it, which counts
// it. It is hidden.

// decisionStage is how far push's decision on old mail or excess mail is; empty: it is made.
type decisionStage string

// The stages of old mail. stageExcess is that of a summary of excess mail which has grown since it
// last rang; it is never hidden.
const (
	stageMail    decisionStage = "mail"    // a mail that is counted
	stageLooking decisionStage = "looking" // the summary while the look goes on
	stageFound   decisionStage = "found"   // the summary when the look has ended
	stageDecided decisionStage = "decided" // the summary, decided; hidden if the mails rang alone
	stageExcess  decisionStage = "excess"
)

// Append implements [table.Prefix].
func (s decisionStage) Append(data []byte) []byte { return table.AppendText(data, string(s)) }

// batch is a hidden summary.
type batch = table.Row[notificationKey, notificationRow]

// maxOld is how many mails of a batch may still ring. Those beyond can only be counted.
const maxOld = MaxMails

// batchCost is what a transaction needs for the batch of a folder: two searches, and its row.
const batchCost = 2 + notificationCost

// batchOf returns the batch of a folder, or nil if the folder has no old mail.
func batchOf(tx *table.Tx, account id, folder string) (*batch, error) {
	for _, s := range []decisionStage{stageLooking, stageFound} {
		list, err := undecided.Rows(tx, table.Under(undecidedPrefix{stageOfAccount{s, account}, digestOf(folder)}), 1)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			return &list[0], nil
		}
	}
	return nil, nil
}

// insertOld stores an old mail, and counts it in the batch of its folder.
func (in *recorder) insertOld(n idlepush.Notification) (err error) {
	a := in.arrival
	if in.old == nil {
		if in.old, err = batchOf(in.set.tx, id(a.Account), a.Folder); err != nil {
			return err
		}
	}
	if in.old == nil {
		in.old = new(batch)
		summary := idlepush.Notification{ID: stableID(string(CodeOld), n.ID), Kind: idlepush.KindSummary, Account: a.Account, Folder: a.Folder, At: a.At, Reason: idlepush.Reason{Code: CodeOld}.With(codes.Case, summed)}
		if in.old.Key, in.old.Value, err = in.set.newRow(summary); err != nil {
			return err
		}
	}
	in.old.Value.Count++
	in.old.Value.At = a.At
	k, row, err := in.set.newRow(n)
	if err != nil {
		return err
	}
	if row.Undecided = stageMail; in.old.Value.Count > maxOld {
		row.Undecided = ""
		in.set.silence()
	}
	return notifications.Put(in.set.tx, k, row)
}

// writeBatch writes the batch of the folder if it has grown, or if the look has ended.
func (in *recorder) writeBatch(done bool) (err error) {
	a, ended := in.arrival, done && !in.arrival.More
	if in.old == nil && ended {
		if in.old, err = batchOf(in.set.tx, id(a.Account), a.Folder); err != nil {
			return err
		}
	}
	if in.old == nil {
		return nil
	}
	if in.old.Value.Undecided = stageLooking; ended {
		in.old.Value.Undecided = stageFound
	}
	return notifications.Put(in.set.tx, in.old.Key, in.old.Value)
}

// EndLooks ends the looks of an account of which nobody will record more, because their session has
// ended.
func (m Mail) EndLooks(account string) error {
	for {
		var open []batch
		err := m.db.View(func(tx *table.Tx) (err error) {
			open, err = undecided.Rows(tx, table.Under(stageOfAccount{stageLooking, id(account)}), 1)
			return err
		})
		if err != nil || len(open) == 0 {
			return err
		}
		open[0].Value.Undecided = stageFound
		if err := m.db.Update(func(tx *table.Tx) error { return notifications.Put(tx, open[0].Key, open[0].Value) }); err != nil {
			return err
		}
	}
}

// whyOld returns the reason of a row as it is shown: of old mail, how far the decision is.
func (row notificationRow) whyOld(why idlepush.Reason) idlepush.Reason {
	switch {
	case row.Kind != idlepush.KindMail || row.Code != CodeOld:
		return why
	case !row.Cleared.IsZero():
		return why.With(codes.Case, oldHandled)
	case row.Undecided != "":
		return why.With(codes.Case, oldWaits)
	}
	return why
}

// OldMail is the old mail of a folder that looks have found since the last decision.
type OldMail struct {
	Account, Folder string
	Count           int
	Found           time.Time // the last of it
	Decided         time.Time // when push last decided in the folder; zero: not in 7 days
	Earlier         int       // how many had been decided on by then; the caller may reset it

	batch notificationKey
}

// maxOldMail bounds what OldMail returns.
const maxOldMail = 50

// OldMail returns the old mail on which nobody has decided yet, but no more than 50 folders.
func (o Outbox) OldMail() (list []OldMail, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		rows, err := undecided.Rows(tx, table.Under(stageFound), maxOldMail)
		for _, b := range rows {
			m := OldMail{Account: string(b.Key.scope), Folder: b.Value.Folder, Count: b.Value.Count, Found: b.Value.At, batch: b.Key}
			if m.Decided, m.Earlier, err = lastDecision(tx, b.Key.scope, m.Folder); err != nil {
				return err
			}
			list = append(list, m)
		}
		return err
	})
	return list, err
}

// lastDecision returns when push last decided on old mail of a folder, and on how many by then;
// zero: not in 7 days.
func lastDecision(tx *table.Tx, account id, folder string) (at time.Time, earlier int, err error) {
	last, err := undecided.Last(tx, table.Under(undecidedPrefix{stageOfAccount{stageDecided, account}, digestOf(folder)}), 1)
	if err != nil || len(last) == 0 {
		return at, 0, err
	}
	row, _, err := notifications.Get(tx, last[0].Key)
	return row.At, row.Earlier, err
}

// RingOld has the old mails ring one by one, but not those that were cleared meanwhile. The next
// decision counts them in Earlier, with m.Earlier. If they are too many for one transaction, it
// takes several. It does nothing if somebody has decided or more was found meanwhile: then OldMail
// returns another count.
func (o Outbox) RingOld(m OldMail, now time.Time) error { return o.decideOld(m, true, now) }

// SumUpOld has one summary ring, which counts the old mails. Otherwise it is like RingOld.
func (o Outbox) SumUpOld(m OldMail, now time.Time) error { return o.decideOld(m, false, now) }

func (o Outbox) decideOld(m OldMail, ring bool, now time.Time) error {
	return o.updateQueuesInSteps(now, func(set *queueSet) (done bool, err error) {
		b, found, err := notifications.Get(set.tx, m.batch)
		if err != nil || !found || b.Undecided != stageFound || b.Count != m.Count {
			return true, err
		}
		account, _, err := accounts.Get(set.tx, m.batch.scope)
		if err != nil {
			return false, err
		}
		recipients, err := recipientsOf(set.tx, m.batch.scope, account)
		if err != nil {
			return false, err
		}
		set.reserved = rowCost + 1 // the batch, and trimNotRung
		decided, err := decideMails(set, &b, m, ring, now, account, recipients)
		switch {
		case err != nil:
			return false, err
		case !decided:
		case ring || b.Count == 0: // all were cleared
			b.Undecided, b.At, b.Count = stageDecided, now, 0
			b.Earlier += m.Earlier
		default:
			b.Earlier = m.Earlier + b.Count
			b.Undecided, b.At, b.Expires, b.Unqueued = stageDecided, now, now.Add(idlepush.KindSummary.Lifetime()), idsOf(account.seeing(recipients, m.batch.seq))
			if err := set.enqueue(m.batch, &b); err != nil {
				return false, err
			}
		}
		if err := notifications.Put(set.tx, m.batch, b); err != nil {
			return false, err
		}
		m.Count = b.Count // less in the next step, by those that ring
		return decided, set.trimNotRung(m.batch.scope)
	})
}

// decideMails decides on as many mails of the batch as fit the transaction, and reports whether
// that is all of them.
func decideMails(set *queueSet, b *notificationRow, m OldMail, ring bool, now time.Time, account accountRow, recipients []table.Row[deviceKey, deviceRow]) (all bool, err error) {
	list, err := undecided.First(set.tx, table.Under(undecidedPrefix{stageOfAccount{stageMail, m.batch.scope}, digestOf(m.Folder)}), maxOld+1)
	if err != nil {
		return false, err
	}
	for i, e := range list {
		if i > 0 && set.opsLeft() < rowCost+queueCost+deliveryCost {
			return false, nil
		}
		row, found, err := notifications.Get(set.tx, e.Key)
		if err != nil || !found {
			return false, err
		}
		row.Undecided = ""
		if !row.Cleared.IsZero() || ring {
			b.Count--
		}
		switch {
		case !row.Cleared.IsZero() || !ring:
			set.silence()
		default:
			b.Earlier++
			row.Code, row.Expires, row.Unqueued = "", now.Add(idlepush.KindMail.Lifetime()), idsOf(account.seeing(recipients, e.Key.seq))
			if err := set.enqueue(e.Key, &row); err != nil {
				return false, err
			}
		}
		if err := notifications.Put(set.tx, e.Key, row); err != nil {
			return false, err
		}
	}
	return len(list) <= maxOld, nil
}

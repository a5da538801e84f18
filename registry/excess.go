package registry

import (
	"strconv"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// Mail that rings is kept one by one, but of each account only maxDaily in a day. What comes after
// them is excess mail: one summary of the day counts it. So very much mail cannot fill the disk,
// and none of it is lost silently.

// maxDaily is how many mails of an account that ring are kept one by one in a day.
const maxDaily = 2000

// dayLength is how long a day is. It begins with the first mail after the end of the day before.
const dayLength = 24 * time.Hour

// dayRow counts the mails of an account that ring.
type dayRow struct {
	Began time.Time `json:",omitzero"`
	Mails int       `json:",omitempty"`
}

// add returns the day after one more mail at now. A day that begins after now is from before the
// clock was set back: then another begins.
func (d dayRow) add(now time.Time) dayRow {
	if now.Before(d.Began) || now.Sub(d.Began) >= dayLength {
		d = dayRow{Began: now}
	}
	d.Mails++
	return d
}

// excessCost is what a transaction needs for the summary of excess mail: a search, and its row.
const excessCost = 2 + notificationCost

// countDaily counts a mail that rings. It reports whether that is excess mail, which the summary of
// the day counts.
func (in *recorder) countDaily() (excess bool, err error) {
	in.day = in.day.add(in.arrival.At)
	if in.dailyBound == 0 || in.day.Mails <= in.dailyBound {
		return false, nil
	}
	if in.excess == nil {
		if in.excess, err = in.excessOfDay(); err != nil {
			return false, err
		}
	}
	in.excess.Value.Count++
	return true, nil
}

// excessOfDay returns the summary of the day, or a new one.
func (in *recorder) excessOfDay() (*batch, error) {
	a := in.arrival
	n := idlepush.Notification{ID: stableID(string(CodeExcess), a.Account, strconv.FormatInt(in.day.Began.UnixNano(), 10)), Kind: idlepush.KindSummary, Account: a.Account, At: a.At,
		Expires: a.At.Add(idlepush.KindSummary.Lifetime()), Reason: idlepush.Reason{Code: CodeExcess}.With("limit", strconv.Itoa(in.dailyBound))}
	b, found, err := byStableID.Row(in.set.tx, stableKey{id(a.Account), n.ID})
	if err == nil && !found {
		b.Key, b.Value, err = in.set.newRow(n)
	}
	return &b, err
}

// writeDay writes how many mails have come in the day, and its summary if it has grown.
func (in *recorder) writeDay(standing standingRow) error {
	if in.day == standing.Day {
		return nil
	}
	standing.Day = in.day
	if err := standings.Put(in.set.tx, id(in.arrival.Account), standing); err != nil || in.excess == nil {
		return err
	}
	in.excess.Value.Undecided = stageExcess
	return notifications.Put(in.set.tx, in.excess.Key, in.excess.Value)
}

// Excess is a summary of excess mail that has grown since it last rang.
type Excess struct {
	Account string
	Count   int       // how many mails it counts
	Rang    time.Time // when it last rang; zero: never

	key notificationKey
}

// Excess returns the summaries of excess mail that have grown since they last rang.
func (o Outbox) Excess() (list []Excess, err error) {
	err = o.db.View(func(tx *table.Tx) error {
		rows, err := undecided.Rows(tx, table.Under(stageExcess), table.NoLimit)
		for _, b := range rows {
			e := Excess{Account: string(b.Key.scope), Count: b.Value.Count, key: b.Key}
			if b.Value.Earlier > 0 {
				e.Rang = b.Value.At
			}
			list = append(list, e)
		}
		return err
	})
	return list, err
}

// RingExcess has the summary ring with its count. Devices to which it was delivered are sent it
// again, with the same id. It does nothing if the summary has rung meanwhile, or is gone.
func (o Outbox) RingExcess(e Excess, now time.Time) error {
	return o.updateQueues(now, func(set *queueSet) error {
		row, found, err := notifications.Get(set.tx, e.key)
		if err != nil || !found || row.Undecided != stageExcess {
			return err
		}
		account, _, err := accounts.Get(set.tx, e.key.scope)
		if err != nil {
			return err
		}
		recipients, err := recipientsOf(set.tx, e.key.scope, account)
		if err != nil {
			return err
		}
		row.Undecided, row.At, row.Earlier, row.Unqueued = "", now, row.Count, idsOf(recipients)
		if err := set.enqueue(e.key, &row); err != nil {
			return err
		}
		return notifications.Put(set.tx, e.key, row)
	})
}

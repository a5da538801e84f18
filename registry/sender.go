package registry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"idlepush/registry/table"
	"idlepush/ring"
)

// maxSenders bounds the senders that are remembered of an account. Those who have written the
// longest ago are forgotten first, by Purge.
const maxSenders = 20_000

// seenPrecision is how exactly it is remembered when somebody last wrote: mail within that time of
// the last writes nothing.
const seenPrecision = 7 * 24 * time.Hour

// factsCost is what storedFacts reads and writes at most.
func factsCost(row accountRow) int { return len(row.viewers()) + 2 }

// storedFacts remembers the sender of new mail, and returns the facts to store: the first words
// only if a rule needs them, and whether it is the first mail of its sender. Mail from before the
// account was watched is unknown, so the first mail since then counts as the first.
func storedFacts(tx *table.Tx, account id, row accountRow, f ring.Facts, now time.Time) (_ ring.Facts, err error) {
	if f.Words != "" {
		asked, err := asksWords(tx, account, row)
		if err != nil {
			return f, err
		}
		if !asked {
			f.Words = ""
		}
	}
	f.First, err = recordSender(tx, account, cmp.Or(row.Mailbox, string(account)), f.From, now)
	return f, err
}

// senderKeyOf returns a key that hides the address, and differs in each mailbox.
func senderKeyOf(tx *table.Tx, account id, mailbox, from string) senderKey {
	return senderKey{account, tx.Digest(mailbox + "\x00" + from)}
}

// recordSender remembers the sender of a mail, and reports whether it is the first.
func recordSender(tx *table.Tx, account id, mailbox, from string, now time.Time) (first bool, err error) {
	if from == "" {
		return false, nil
	}
	k := senderKeyOf(tx, account, mailbox, from)
	row, known, err := senders.Get(tx, k)
	if err != nil || known && now.Sub(row.Seen).Abs() < seenPrecision { // Seen may be ahead
		return false, err
	}
	return !known, senders.Put(tx, k, senderRow{now})
}

// KnowsSender reports whether the account has had mail from an address, as far as it is remembered.
func (m Mail) KnowsSender(account, address string) (known bool, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, account)
		if err != nil {
			return err
		}
		known, err = senders.Has(tx, senderKeyOf(tx, id(account), cmp.Or(row.Mailbox, account), address))
		return err
	})
	return known, err
}

// purgeSenders forgets the senders of accounts that are gone, and of each account all but the last
// maxSenders.
func (c *core) purgeSenders(ctx context.Context, _ time.Time) error {
	for within, more := (table.Range{}), true; more && ctx.Err() == nil; {
		var account id
		keep, over := 0, false
		err := c.db.View(func(tx *table.Tx) error {
			for range maxScopes {
				first, err := senders.Keys(tx, within, 1)
				if more = len(first) > 0; err != nil || !more {
					return err
				}
				account = first[0].account
				within = within.Past(account)
				if keep, over, err = excessSenders(tx, account); err != nil || over {
					return err
				}
			}
			return nil
		})
		if err == nil && over {
			err = c.forgetSenders(ctx, account, keep)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// excessSenders reports whether more senders of an account are remembered than are to be kept.
func excessSenders(tx *table.Tx, account id) (keep int, over bool, err error) {
	lives, err := accounts.Has(tx, account)
	if lives {
		keep = maxSenders
	}
	if err != nil {
		return keep, false, err
	}
	known, err := senders.Keys(tx, table.Under(account), keep+1)
	return keep, len(known) > keep, err
}

// forgetSenders forgets all senders of an account but for the last.
func (c *core) forgetSenders(ctx context.Context, account id, keep int) error {
	var list []table.Row[senderKey, senderRow]
	for within, more := table.Under(account), true; more && ctx.Err() == nil; {
		err := c.db.View(func(tx *table.Tx) error {
			rows, err := senders.First(tx, within, maxPurged)
			if more = len(rows) == maxPurged; more {
				within = within.Past(rows[len(rows)-1].Key)
			}
			list = append(list, rows...)
			return err
		})
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	slices.SortFunc(list, func(a, b table.Row[senderKey, senderRow]) int { return a.Value.Seen.Compare(b.Value.Seen) })
	return removeRows(c.db, senders, keysOf(list[:max(0, len(list)-keep)]))
}

package registry

import (
	"context"
	"errors"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

// maxAge is how long activity is kept.
const maxAge = 7 * 24 * time.Hour

// maxPurged bounds the rows that one search finds for removal.
const maxPurged = 200

// Purge removes notifications older than 7 days, and leftovers of removed accounts, shares and
// devices. It also removes lanes without devices, all but the last senders of an account, and
// tokens and invites that have ended. A token stays as long as something made by it is there.
//
// It searches while others write, and removes in bounded transactions, so that new mail never waits
// for long. If ctx ends, it returns early and without an error.
func (s *Store) Purge(ctx context.Context, now time.Time) error {
	for _, purge := range []func(context.Context, time.Time) error{s.purgeNotifications, s.purgeQueues, s.purgeTokens, s.purgeInvites, s.purgeAsked, s.purgeLanes, s.purgeWishes, s.purgeSenders} {
		if err := purge(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) purgeNotifications(ctx context.Context, now time.Time) error {
	for within, more := (table.Range{}), true; more && ctx.Err() == nil; {
		var old []notificationKey
		err := c.db.View(func(tx *table.Tx) (err error) {
			for scopes := 0; scopes < maxScopes && more && len(old) == 0 && err == nil; scopes++ {
				old, within, more, err = oldNotifications(tx, within, now)
			}
			return err
		})
		if err == nil {
			err = c.removeNotifications(old, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxScopes bounds the scopes that one search goes through.
const maxScopes = 20

// oldNotifications returns notifications to remove from the first scope within the range: those
// that are old, or all if the account or user is removed. It compares the time in the keys. Keys
// after now are from before the clock was set back: then it compares the time in the rows. rest is
// the range that is left, if there is more.
func oldNotifications(tx *table.Tx, within table.Range, now time.Time) (old []notificationKey, rest table.Range, more bool, err error) {
	first, err := notifications.Keys(tx, within, 1)
	if err != nil || len(first) == 0 {
		return nil, within, false, err
	}
	scope := first[0].scope
	rest = within.From(first[0])
	all := table.Under(scope).From(first[0])
	past := all.Before(notificationKey{scope, uint64(max(now.Add(-maxAge).UnixNano()+1, 0))})
	lives, err := scopeExists(tx, scope)
	if !lives {
		past = all
	}
	if err == nil {
		old, err = notifications.Keys(tx, past, maxPurged)
	}
	if err != nil || len(old) > 0 {
		return old, rest, true, err
	}
	ahead, err := notifications.First(tx, all.From(notificationKey{scope, uint64(now.UnixNano()) + 1}), maxPurged)
	for _, n := range ahead {
		if now.Sub(n.Value.At) >= maxAge {
			old = append(old, n.Key)
		}
	}
	if len(ahead) == maxPurged {
		return old, rest.Past(ahead[maxPurged-1].Key), true, err
	}
	return old, rest.Past(scope), true, err
}

// scopeExists reports whether the account or user of the scope exists.
func scopeExists(tx *table.Tx, scope id) (bool, error) {
	account, err := accounts.Has(tx, scope)
	if err != nil || account {
		return account, err
	}
	return users.Has(tx, scope)
}

// removeNotifications removes notifications with their deliveries, also pending ones.
func (c *core) removeNotifications(list []notificationKey, now time.Time) error {
	for len(list) > 0 {
		err := c.updateQueues(now, func(set *queueSet) error {
			removed := 0
			for len(list) > 0 && set.opsLeft() > notificationCost {
				rows, err := deliveries.First(set.tx, table.Under(deliveryPrefix(list[0])), table.NoLimit)
				if err != nil {
					return err
				}
				for _, d := range rows {
					if removed == maxPurged || set.opsLeft() < queueCost+notificationCost {
						return nil
					}
					removed++
					if err := set.removeDelivery(d); err != nil {
						return err
					}
				}
				if err := notifications.Delete(set.tx, list[0]); err != nil {
					return err
				}
				list = list[1:]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeDelivery removes a delivery, and takes it out of its subqueue if it is pending.
func (s *queueSet) removeDelivery(d table.Row[deliveryKey, deliveryRow]) error {
	if err := deliveries.Delete(s.tx, d.Key); err != nil || d.Value.State != idlepush.DeliveryPending {
		return err
	}
	q, err := s.get(d.Key.device)
	if err != nil || q == nil {
		return err
	}
	return s.dequeue(q, d.Value.subqueue(d.Key), d.Key.notification.seq)
}

// purgeQueues ends the deliveries that wait for removed devices.
func (c *core) purgeQueues(ctx context.Context, now time.Time) error {
	within := table.Range{}
	for ctx.Err() == nil {
		var gone []deliveryKey
		more := false
		err := c.db.View(func(tx *table.Tx) error {
			for {
				first, err := waiting.First(tx, within, 1)
				if more = len(first) > 0; err != nil || !more {
					return err
				}
				device := first[0].Index.device
				exists, err := deviceExists(tx, device)
				if err != nil {
					return err
				}
				if exists {
					within = within.Past(device)
					continue
				}
				list, err := waiting.First(tx, table.Under(device), maxPurged)
				for _, e := range list {
					gone = append(gone, e.Key)
				}
				return err
			}
		})
		if err != nil || !more {
			return err
		}
		for len(gone) > 0 {
			err := c.db.Update(func(tx *table.Tx) error {
				for len(gone) > 0 && tx.Left() >= deliveryCost {
					row, found, err := deliveries.Get(tx, gone[0])
					if err != nil {
						return err
					}
					if found {
						if err := deliveries.Put(tx, gone[0], row.withState(idlepush.DeliveryRemoved, now)); err != nil {
							return err
						}
					}
					gone = gone[1:]
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// purgeLanes removes the rows of lanes that have no device any more.
func (c *core) purgeLanes(context.Context, time.Time) error {
	var empty []table.Text
	err := c.db.View(func(tx *table.Tx) error {
		names, err := lanes.Keys(tx, table.Range{}, table.NoLimit)
		for _, name := range names {
			if err != nil {
				return err
			}
			var one []memberKey
			if one, err = members.Keys(tx, table.Under(lanePrefix(name)), 1); len(one) == 0 {
				empty = append(empty, name)
			}
		}
		return err
	})
	for _, name := range empty {
		if err == nil {
			err = c.db.Update(func(tx *table.Tx) error { return lanes.Delete(tx, name) })
		}
	}
	return err
}

func deviceExists(tx *table.Tx, device id) (bool, error) {
	_, found, err := devicesID.Get(tx, device)
	return found, err
}

func (c *core) purgeTokens(ctx context.Context, now time.Time) error {
	return purgeEnded(ctx, c.db, tokens, func(tx *table.Tx, _ digest, t tokenRow) (bool, error) {
		u, found, err := users.Get(tx, id(t.User))
		if err != nil || !found || !t.hasEnded(u, now) {
			return err == nil && !found, err
		}
		made, err := hasMade(tx, t)
		return !made, err
	})
}

func (c *core) purgeInvites(ctx context.Context, now time.Time) error {
	return purgeEnded(ctx, c.db, invites, func(tx *table.Tx, _ digest, i inviteRow) (bool, error) {
		_, _, open, err := i.getPeople(tx, now)
		return !open, err
	})
}

// purgeAsked removes what no longer keeps an owner from asking, or is of users who are gone.
func (c *core) purgeAsked(ctx context.Context, now time.Time) error {
	return purgeEnded(ctx, c.db, asked, func(tx *table.Tx, k askedKey, row askedRow) (bool, error) {
		for _, user := range []id{k.owner, k.person} {
			if lives, err := users.Has(tx, user); err != nil || !lives {
				return true, err
			}
		}
		return !row.refuses(now) && !row.wasTold(now), nil
	})
}

// purgeEnded removes the rows that have ended.
func purgeEnded[K table.Key[K], V any](ctx context.Context, db *table.DB, t *table.Table[K, V], ended func(*table.Tx, K, V) (bool, error)) error {
	for within, more := (table.Range{}), true; more && ctx.Err() == nil; {
		var old []K
		err := db.View(func(tx *table.Tx) error {
			rows, err := t.First(tx, within, maxPurged)
			if more = len(rows) == maxPurged; err != nil {
				return err
			}
			for _, row := range rows {
				within = within.Past(row.Key)
				end, err := ended(tx, row.Key, row.Value)
				if err != nil {
					return err
				}
				if end {
					old = append(old, row.Key)
				}
			}
			return nil
		})
		if err = errors.Join(err, removeRows(db, t, old)); err != nil {
			return err
		}
	}
	return nil
}

// removeRows removes the rows, in bounded transactions.
func removeRows[K table.Key[K], V any](db *table.DB, t *table.Table[K, V], list []K) error {
	for len(list) > 0 {
		err := db.Update(func(tx *table.Tx) error {
			for len(list) > 0 && tx.Left() >= removalCost {
				if err := t.Delete(tx, list[0]); err != nil {
					return err
				}
				list = list[1:]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

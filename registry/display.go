package registry

import (
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// notification returns the notification of a row with its deliveries, as they are at now.
func (h History) notification(tx *table.Tx, row table.Row[notificationKey, notificationRow], now time.Time) (idlepush.Notification, error) {
	n, err := row.Value.unseal(tx, row.Key)
	if err != nil {
		return idlepush.Notification{}, err
	}
	n.Reason = row.Value.whyOld(n.Reason)
	rows, err := deliveries.First(tx, table.Under(deliveryPrefix(row.Key)), table.NoLimit)
	if err != nil {
		return idlepush.Notification{}, err
	}
	for _, d := range rows {
		at, exists, err := devicesID.Row(tx, d.Key.device)
		if err != nil {
			return idlepush.Notification{}, err
		}
		row := d.Value.effective(now, exists)
		out := row.delivery(d.Key)
		switch {
		case out.State != idlepush.DeliveryPending:
			out.Decision.Waited = out.Decision.WaitedUntil(row.ended())
		case d.Value.Held && now.Before(out.Decision.Until):
			out.HeldUntil = out.Decision.Until
		}
		if exists {
			if out.Outdated, err = h.isOutdated(tx, d, at.Key, out.Decision, now); err != nil {
				return idlepush.Notification{}, err
			}
		}
		n.Deliveries = append(n.Deliveries, out)
	}
	return n, nil
}

// ended returns when a delivery that is not pending has ended, or a later time if that is not
// known.
func (row deliveryRow) ended() time.Time {
	if row.At.IsZero() || row.State == idlepush.DeliveryExpired {
		return row.Expires
	}
	return row.At
}

// isOutdated reports whether what decided on a delivery to the device was changed since.
func (h History) isOutdated(tx *table.Tx, at table.Row[deliveryKey, deliveryRow], device deviceKey, d ring.Decision, now time.Time) (bool, error) {
	if d.By == (ring.Source{}) {
		return false, nil
	}
	account, _, err := accounts.Get(tx, at.Key.notification.scope)
	if err != nil {
		return false, err
	}
	is, err := h.opened.readWished(tx, at, account, device)
	return d.IsOutdated(is.Wishes, is.DeviceWishes, now), err
}

// maxSummed bounds the mails of a summary that mailsOf returns, and maxSearched the notifications
// among which it looks for them.
const (
	maxSummed   = 200
	maxSearched = 1000
)

// mailsOf returns the stable ids of mails that a summary counts and that lie in the scope, newest
// first.
func mailsOf(tx *table.Tx, scope seenScope, sum table.Row[notificationKey, notificationRow]) (mails []string, err error) {
	if sum.Value.Kind != idlepush.KindSummary || sum.Value.Code != "" {
		return nil, nil
	}
	to, err := deliveries.Keys(tx, table.Under(deliveryPrefix(sum.Key)), 1)
	if err != nil || len(to) == 0 {
		return nil, err
	}
	s, most := stream{within: table.Under(scope.id).From(notificationKey{scope.id, scope.since + 1}).Before(sum.Key)}, min(maxSummed, sum.Value.Count)
	for searched := 0; searched < maxSearched && len(mails) < most; searched++ {
		if err := s.advance(tx); err != nil || len(s.rows) == 0 {
			return mails, err
		}
		d, _, err := deliveries.Get(tx, deliveryKey{s.rows[0].Key, to[0].device})
		if err != nil {
			return nil, err
		}
		if d.Into == sum.Value.ID {
			mails = append(mails, s.rows[0].Value.ID)
		}
	}
	return mails, nil
}

package registry

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"idlepush"
	"idlepush/receipt"
	"idlepush/registry/table"
)

// receipts makes and checks the tokens of receipts, and passes on how long trips took.
type receipts struct {
	tokenKey []byte
	arrived  func(idlepush.Transport, time.Duration) // see Options.Received; nil: nothing
}

// newReceipts derives the key of tokens from that of the store (RFC 5869).
func newReceipts(o Options) (receipts, error) {
	key, err := hkdf.Key(sha256.New, o.Key, nil, "idlepush tokens of receipts", sha256.Size)
	return receipts{key, o.Received}, err
}

// tagSize is the part of an HMAC-SHA-256 that a token has, in bytes.
const tagSize = 16

func (r receipts) tag(key []byte) []byte {
	mac := hmac.New(sha256.New, r.tokenKey)
	mac.Write(key)
	return mac.Sum(nil)[:tagSize]
}

// token returns the token with which the device reports on the delivery, and of no other. Nothing
// is stored of it.
func (r receipts) token(k deliveryKey) idlepush.Secret {
	key := k.Append(nil)
	return idlepush.Secret(base64.RawURLEncoding.EncodeToString(append(key, r.tag(key)...)))
}

// parseToken returns the delivery of a token. genuine is false if token did not return it.
func (r receipts) parseToken(token idlepush.Secret) (k deliveryKey, genuine bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(string(token))
	if err != nil || len(data) < tagSize {
		return k, false
	}
	key, tag := data[:len(data)-tagSize], data[len(data)-tagSize:]
	if !hmac.Equal(tag, r.tag(key)) {
		return k, false
	}
	k, err = k.Parse(key)
	return k, err == nil
}

// passOn passes on the trips of a transaction that was committed.
func (r receipts) passOn(list []tripBy) {
	for _, t := range list {
		if r.arrived != nil {
			r.arrived(t.transport, t.Took)
		}
	}
}

// tripBy is a trip of a push by a transport.
type tripBy struct {
	receipt.Trip
	transport idlepush.Transport
}

// testScope is in place of the scope of test pushes, which are not stored.
const testScope id = ""

// TestReceipt returns the token with which the device reports on a test push that is sent now.
func (o Outbox) TestReceipt(device string, now time.Time) idlepush.Secret {
	return o.token(deliveryKey{notificationKey{testScope, uint64(max(now.UnixNano(), 0))}, id(device)})
}

// recorded returns when the notification of the delivery was recorded.
func (k deliveryKey) recorded() time.Time { return time.Unix(0, int64(k.notification.seq)) }

// chain returns how far the way to the device was last seen to work.
func (q queueRow) chain() receipt.Chain {
	c := q.Chain
	return receipt.Chain{Queued: c.Queued, Accepted: q.Status.Proof, Receipt: receipt.Receipt(c.Last), Unanswered: c.Unanswered, Since: c.Since}
}

func (q *queueRow) setChain(c receipt.Chain) {
	q.Chain.Last, q.Chain.Unanswered, q.Chain.Since = receiptRow(c.Receipt), c.Unanswered, c.Since
}

// Receive records what a device reports on a delivery or of a test push, by the token that came
// with it. What was reported before stays. If the device was unconfirmed, the notification about
// that is over; see Withdraw.
//
// Receive returns ErrDenied if the token was not made here, before it reads anything. It returns
// ErrNotFound if the delivery or the device is no longer kept, or if a later test push was reported
// on.
func (s Devices) Receive(token idlepush.Secret, r receipt.Report, now time.Time) error {
	k, genuine := s.parseToken(token)
	if !genuine {
		return ErrDenied
	}
	known := false // a repeated report must not cost a commit
	err := s.db.View(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, k.device)
		if err != nil {
			return err
		}
		_, was, err := reportedOf(tx, k, q, now)
		known = (q.Chain.Told == "" || q.Chain.Unanswered > 0) && was.With(r.At(k.recorded(), now)) == was
		return err
	})
	if err != nil || known {
		return err
	}
	return s.updateQueues(now, func(set *queueSet) error {
		q, err := set.getExisting(k.device)
		if err == nil {
			err = set.receive(q, k, r)
		}
		if err != nil || q.row.Chain.Unanswered > 0 {
			return err
		}
		told := q.row.Chain.Told
		q.row.Chain.Told = ""
		return endUnconfirmed(set.tx, q.device.Key, told)
	})
}

// reportedOf returns a delivery, and what its device has reported about it. A test push has no row:
// the queue has the report about the last.
func reportedOf(tx *table.Tx, k deliveryKey, q queueRow, now time.Time) (row deliveryRow, was receipt.Receipt, err error) {
	exists, err := deviceExists(tx, k.device)
	if err == nil && !exists {
		err = ErrNotFound
	}
	switch test := q.Chain.Test; {
	case err != nil:
		return row, was, err
	case k.notification.scope != testScope:
		found := false
		if row, found, err = deliveries.Get(tx, k); err == nil && !found {
			err = ErrNotFound
		}
		return row, receipt.Receipt(row.Receipt), err
	case now.Sub(k.recorded()) >= maxAge || k.notification.seq < test.Seq && !time.Unix(0, int64(test.Seq)).After(now):
		return row, was, ErrNotFound
	case k.notification.seq == test.Seq:
		was = receipt.Receipt(test.Receipt)
	}
	return row, was, nil
}

// receive writes a report of a delivery, unless all of it was reported before.
func (s *queueSet) receive(q *queue, k deliveryKey, r receipt.Report) error {
	row, was, err := reportedOf(s.tx, k, q.row, s.now)
	if err != nil {
		return err
	}
	is := was.With(r.At(k.recorded(), s.now))
	if is == was {
		return nil
	}
	q.row.setChain(q.row.chain().AfterReceipt(is, s.now))
	if k.notification.scope == testScope {
		q.row.Chain.Test = testRow{k.notification.seq, receiptRow(is)}
		return nil
	}
	row.Receipt = receiptRow(is)
	if err := deliveries.Put(s.tx, k, row); err != nil {
		return err
	}
	// It can only be accepted later than now if the clock was set back since.
	if row.State == idlepush.DeliveryDelivered && was.Received.IsZero() && !is.Received.IsZero() && !row.At.After(s.now) {
		return s.addTrip(q, row.At, is.Received)
	}
	return nil
}

// tripCost is what addTrip reads and writes.
const tripCost = 2

// addTrip remembers how long a push to the device took from its acceptance.
func (s *queueSet) addTrip(q *queue, accepted, received time.Time) error {
	took := max(0, received.Sub(accepted))
	row, _, err := trips.Get(s.tx, q.id())
	if err != nil {
		return err
	}
	row.Last = append(row.Last[max(0, len(row.Last)-receipt.MaxTrips+1):len(row.Last):len(row.Last)], tripRow{received, took.Milliseconds()})
	s.trips = append(s.trips, tripBy{receipt.Trip{At: received, Took: took}, q.device.Value.Transport})
	return trips.Put(s.tx, q.id(), row)
}

// Trips returns the last trips of pushes to each of the devices, oldest first.
func (s Devices) Trips(devices []string) (list [][]receipt.Trip, err error) {
	list = make([][]receipt.Trip, len(devices))
	err = s.db.View(func(tx *table.Tx) error {
		for i, device := range devices {
			row, _, err := trips.Get(tx, id(device))
			if err != nil {
				return err
			}
			for _, t := range row.Last {
				list[i] = append(list[i], receipt.Trip{At: t.At, Took: time.Duration(t.Millis) * time.Millisecond})
			}
		}
		return nil
	})
	return list, err
}

// followPush notes that a push was accepted. row is the delivery as it was before. If the device
// has already reported, the time between is a trip. If it is unconfirmed, its user is notified
// once.
func (s *queueSet) followPush(q *queue, row deliveryRow) error {
	switch {
	case row.Kind == idlepush.KindClear:
		return nil
	case row.Receipt.Received.IsZero():
		q.row.setChain(q.row.chain().AfterPush(s.now))
	case row.Attempts == 0 && row.DeliveredBefore.IsZero():
		return s.addTrip(q, s.now, row.Receipt.Received)
	}
	if q.row.Chain.Told != "" || !q.row.chain().Unconfirmed(s.now) {
		return nil
	}
	d := q.device
	q.row.Chain.Told = attentionID(s.now, string(d.Key.device), string(receipt.CodeUnconfirmed))
	r := idlepush.Reason{Code: receipt.CodeUnconfirmed}.With("device", d.Value.Name).With("id", string(d.Key.device))
	told, err := s.notifyUserOnce(d.Key.user, q.row.Chain.Told, r, d.Key.device)
	if err != nil || len(told) > 0 {
		return err
	}
	return s.addNotice(d.Key.user, r)
}

// endUnconfirmed ends the notice that a device is unconfirmed, and the notification with the stable
// id told, if that is not empty.
func endUnconfirmed(tx *table.Tx, k deviceKey, told string) error {
	if told == "" {
		return nil
	}
	return changeUser(tx, k.user, func(u *userRow) {
		u.endNotices(receipt.CodeUnconfirmed, k.device)
		u.endTold(told)
	})
}

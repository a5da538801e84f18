package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"idlepush"
	"idlepush/receipt"
	"idlepush/registry/table"
)

// kindKnown is mail that was there before its folder was first looked at. Only the store sees it.
const kindKnown idlepush.Kind = "known"

// Result is one of the five results of a push.
type Result string

// The five results. Only ResultGone removes a device, and only ResultRefused drops a message.
// ResultRetry and ResultMisconfigured keep both.
const (
	ResultDelivered     Result = "delivered"
	ResultRetry         Result = "retry"
	ResultGone          Result = "gone"
	ResultRefused       Result = "refused"
	ResultMisconfigured Result = "misconfigured"
)

// Outcome is what the answer of a push service means, or what it means that no answer came.
type Outcome struct {
	Result         Result
	At             time.Time // of a retry: not before this time; zero: the dispatcher's backoff
	Suspect        bool      // of a retry: only this address fails, so the device is suspect
	Absent         bool      // of a suspect device: its address was not found, and may be gone
	MaybeDelivered bool      // of a retry: no answer came, but the service may have the message
	NotSent        bool      // nothing was sent, so the service is not to blame
	Slow           bool      // of a retry: the device is slow from now on; see Queue
	// Learned is what a delivered push has shown of the device; nil: nothing.
	Learned *idlepush.Learned

	LaneWorks bool          // the answer proves that the lane works: its pause ends
	PauseFor  time.Duration // how long the lane is paused from now on; zero: as it was
	// Accuses, of misconfigured, has the device accused. With PauseFor, it confirms an accusation.
	Accuses bool

	idlepush.Reason // zero on success
}

// StableID returns the id of one mail's notification: the first 24 bytes of SHA-256 over account,
// folder, UIDVALIDITY and UID, as 32 base64url characters. It fits an APNs collapse id (64 bytes)
// and a Web Push Topic (RFC 8030 section 5.4).
func StableID(account, folder string, uidValidity, uid uint32) string {
	var numbers [8]byte
	binary.BigEndian.PutUint32(numbers[:4], uidValidity)
	binary.BigEndian.PutUint32(numbers[4:], uid)
	return stableID(account, folder, string(numbers[:]))
}

func stableID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}

// scopeOf returns the first field of the notification's key.
func scopeOf(n idlepush.Notification) id {
	if n.Account != "" {
		return id(n.Account)
	}
	return id(n.User)
}

// isNotifiedMail reports whether the row is mail, and not of mail that did not ring.
func (row notificationRow) isNotifiedMail() bool {
	return row.Kind == idlepush.KindMail && row.Code == ""
}

// mayRing reports whether the row is mail that rang, or old mail: that rings, too, alone or in a
// summary.
func (row notificationRow) mayRing() bool {
	return row.Kind == idlepush.KindMail && (row.Code == "" || row.Code == CodeOld)
}

// isHidden reports whether the notification is for the store alone.
func (row notificationRow) isHidden() bool {
	switch row.Undecided {
	case stageLooking, stageFound:
		return row.Kind == idlepush.KindSummary
	case stageDecided:
		return row.Count == 0
	}
	return row.Kind == kindKnown
}

func (row notificationRow) place(account id) placeKey {
	return placeKey{folderPrefix{account, digestOf(row.Folder), row.UIDValidity}, row.UID}
}

// sealNotification returns the row of a new notification under k.
func sealNotification(tx *table.Tx, k notificationKey, n idlepush.Notification) (row notificationRow, err error) {
	row = notificationRow{ID: n.ID, Kind: n.Kind, User: n.Account == "", Folder: n.Folder, At: n.At, Expires: n.Expires, Code: n.Reason.Code, Clear: n.Clear, Count: n.Count,
		Read: n.Read, UIDValidity: n.UIDValidity, UID: n.UID, Fingerprint: n.Fingerprint, Wordless: n.Wordless, Cleared: n.Cleared}
	row.Sealed, err = notifications.Place(tx, k).Seal(notificationContent{n.Content.From, n.Content.Subject, n.Content.MessageID, n.Content.Preview, n.Content.OneTimeCode, n.Reason.Params, n.Facts})
	return row, err
}

// reseal returns the row under k with what n says.
func (row notificationRow) reseal(tx *table.Tx, k notificationKey, n idlepush.Notification) (notificationRow, error) {
	sealed, err := sealNotification(tx, k, n)
	sealed.Unqueued, sealed.Undecided, sealed.Removed, sealed.Earlier, sealed.Silent = row.Unqueued, row.Undecided, row.Removed, row.Earlier, row.Silent
	return sealed, err
}

// unseal returns the notification of the row under k, without its deliveries.
func (row notificationRow) unseal(tx *table.Tx, k notificationKey) (idlepush.Notification, error) {
	var c notificationContent
	if err := notifications.Place(tx, k).Open(row.Sealed, &c); err != nil {
		return idlepush.Notification{}, err
	}
	n := idlepush.Notification{ID: row.ID, Kind: row.Kind, Folder: row.Folder, At: row.At, Expires: row.Expires, Reason: idlepush.Reason{Code: row.Code, Params: c.Params}, Clear: slices.Clone(row.Clear), Count: row.Count,
		Read: row.Read, UIDValidity: row.UIDValidity, UID: row.UID, Fingerprint: row.Fingerprint, Wordless: row.Wordless, Cleared: row.Cleared,
		Content: idlepush.Content{From: c.From, Subject: c.Subject, MessageID: c.MessageID, Preview: c.Preview, OneTimeCode: c.OneTime}, Facts: c.Facts}
	if row.User {
		n.User = string(k.scope)
	} else {
		n.Account = string(k.scope)
	}
	return n, nil
}

func (row deliveryRow) delivery(k deliveryKey) idlepush.Delivery {
	out := idlepush.Delivery{Device: string(k.device), State: row.State, At: row.At, Into: row.Into, Attempts: row.Attempts, MaybeDelivered: row.MaybeDelivered, Reason: idlepush.Reason{Code: row.Code, Params: maps.Clone(row.Params)}, DeliveredBefore: row.DeliveredBefore, Receipt: receipt.Receipt(row.Receipt)}
	if row.Decision != nil {
		out.Decision = *row.Decision
		out.Decision.Params = maps.Clone(row.Decision.Params)
	}
	return out
}

// waits reports whether the delivery is pending and was not withdrawn.
func (row deliveryRow) waits() bool {
	return row.State == idlepush.DeliveryPending && row.Withdrawn.IsZero()
}

// withState returns the delivery with the state. If it was delivered with less content before, its
// last state is that delivery, whatever the outcome of the rest is.
func (row deliveryRow) withState(state idlepush.DeliveryState, at time.Time) deliveryRow {
	row.Withdrawn = time.Time{}
	switch {
	case row.DeliveredBefore.IsZero() || state == idlepush.DeliveryPending:
		row.State, row.At = state, at
	case state == idlepush.DeliveryDelivered:
		row.State, row.At, row.DeliveredBefore = idlepush.DeliveryDelivered, row.DeliveredBefore, time.Time{}
	default:
		row = deliveryRow{Kind: row.Kind, Expires: row.Expires, State: idlepush.DeliveryDelivered, At: row.DeliveredBefore, Attempts: row.Attempts, Held: row.Held, Decision: row.Decision, Receipt: row.Receipt}
	}
	return row
}

// effective returns the delivery as it is at now. A pending one that nothing will send any more is
// expired or removed, although its row is still in its subqueue.
func (row deliveryRow) effective(now time.Time, deviceExists bool) deliveryRow {
	switch {
	case row.State != idlepush.DeliveryPending:
	case !deviceExists:
		return row.withState(idlepush.DeliveryRemoved, row.At)
	case !row.waits():
		return row.withState(idlepush.DeliveryCleared, row.Withdrawn)
	case !now.Before(row.Expires):
		return row.withState(idlepush.DeliveryExpired, row.At)
	}
	return row
}

// nextSequence returns the next sequence: the time in nanoseconds, or one more than the last if the
// clock stands still or was set back.
func nextSequence(tx *table.Tx, now time.Time) (uint64, error) {
	last, err := lastSequence(tx)
	if err != nil {
		return 0, err
	}
	seq := max(uint64(max(now.UnixNano(), 0)), last+1)
	return seq, metas.Put(tx, metaSequence, metaRow{Number: seq})
}

func lastSequence(tx *table.Tx) (uint64, error) {
	row, _, err := metas.Get(tx, metaSequence)
	return row.Number, err
}

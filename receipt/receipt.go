// Package receipt has what phones report of the notifications that have reached them, and what
// follows from it: how far the way to a phone was last seen to work, how long it takes, and whether
// a phone that reported has stopped. It is a package of its own because the store, push and web
// share these rules, which need nothing but times.
package receipt

import (
	"slices"
	"time"

	"idlepush/codes"
)

// Path begins the path at the server to which a phone reports. The token of the receipt follows. A
// push has only the path, so that a push service that can read it does not learn the server's
// address.
const Path = "/api/v1/receipts/"

// CodeUnconfirmed says that a device which reported has stopped.
const CodeUnconfirmed codes.Code = "device_unconfirmed"

// Codes are those that the package gives itself.
var Codes = []codes.Entry{
	{Code: CodeUnconfirmed, Text: "{device} no longer reports that notifications reach it, although its push service accepts them. Look whether it shows new mail. If not, see whether it is online and lets idlepush notify, and open idlepush on it."},
}

// Report is what a phone says of a notification, by its own clock. Now is when it says so. Each
// of the others is zero if the phone does not say.
type Report struct {
	Received, Shown, Opened, Now time.Time
}

// Receipt is when a phone received a notification, showed it, and when a person opened it. Each is
// zero if the phone has not said so.
type Receipt struct {
	Received, Shown, Opened time.Time
}

// At returns the receipt by the clock of the server, on which the report came at now. Only how long
// ago something was counts, so the clock of the phone may be wrong. Nothing was before the
// notification was recorded, or is yet to be.
func (r Report) At(recorded, now time.Time) Receipt {
	at := func(event time.Time) time.Time {
		if event.IsZero() {
			return event
		}
		event = now.Add(-max(0, r.Now.Sub(event)))
		if event.Before(recorded) {
			event = recorded
		}
		if event.After(now) { // the clock of the server was set back since
			event = now
		}
		return event
	}
	return Receipt{at(r.Received), at(r.Shown), at(r.Opened)}
}

// With returns the receipt with what another adds to it. Of each, the first that came stays.
func (r Receipt) With(other Receipt) Receipt {
	first := func(a, b time.Time) time.Time {
		if a.IsZero() {
			return b
		}
		return a
	}
	return Receipt{first(r.Received, other.Received), first(r.Shown, other.Shown), first(r.Opened, other.Opened)}
}

// Chain is how far the way to a device was last seen to work: when a notification was last queued
// for it, accepted by its push service, received by it, shown, and opened by a person. Each is zero
// if that never was.
type Chain struct {
	Queued, Accepted time.Time
	Receipt

	Unanswered int       // pushes that show something, accepted since the last receipt
	Since      time.Time // when the first of them was accepted; zero: there are none
}

// maxAhead is how far ahead of now a time may be: its writer may have read the clock after the
// reader.
const maxAhead = time.Minute

// Known returns the chain without times in the future. Those are from before the clock of the
// server was set back: when that really was, nobody knows.
func (c Chain) Known(now time.Time) Chain {
	for _, at := range []*time.Time{&c.Queued, &c.Accepted, &c.Received, &c.Shown, &c.Opened} {
		if at.Sub(now) > maxAhead {
			*at = time.Time{}
		}
	}
	return c
}

// A device is unconfirmed if it has left this many pushes unanswered, the first for this long.
const (
	unconfirmedPushes = 3
	unconfirmedFor    = 24 * time.Hour
)

// Reported reports whether the device has ever reported.
func (c Chain) Reported() bool { return c.Receipt != Receipt{} }

// Unconfirmed reports whether a device that reported has stopped.
func (c Chain) Unconfirmed(now time.Time) bool {
	return c.Reported() && c.Unanswered >= unconfirmedPushes && now.Sub(c.Since) >= unconfirmedFor
}

// AfterPush returns the chain after a push that shows something was accepted, and not answered yet.
func (c Chain) AfterPush(now time.Time) Chain {
	if c.Unanswered++; c.Unanswered == 1 || c.Since.After(now) { // the clock was set back
		c.Since = now
	}
	return c
}

// AfterReceipt returns the chain after a receipt that came at now. Of each, the last time stays,
// but none from before the clock was set back.
func (c Chain) AfterReceipt(r Receipt, now time.Time) Chain {
	last := func(a, b time.Time) time.Time {
		if !b.IsZero() && !b.After(now) && (b.After(a) || a.After(now)) {
			return b
		}
		return a
	}
	c.Receipt = Receipt{last(c.Received, r.Received), last(c.Shown, r.Shown), last(c.Opened, r.Opened)}
	c.Unanswered, c.Since = 0, time.Time{}
	return c
}

// A Trip is one push from its acceptance to the device.
type Trip struct {
	At   time.Time // when it was received
	Took time.Duration
}

// MaxTrips bounds the trips that are kept of a device.
const MaxTrips = 100

// medianOf is how long a trip counts.
const medianOf = 7 * 24 * time.Hour

// Median returns the median of the trips of the last week, and how many these are. A trip that is
// further in the future than that does not count: it is from before the clock was set back.
func Median(trips []Trip, now time.Time) (median time.Duration, of int) {
	var took []time.Duration
	for _, t := range trips {
		if now.Sub(t.At).Abs() < medianOf {
			took = append(took, t.Took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return (took[(len(took)-1)/2] + took[len(took)/2]) / 2, len(took)
}

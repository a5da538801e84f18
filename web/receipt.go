package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"idlepush"
	"idlepush/receipt"
	"idlepush/registry"
)

// report is what a phone reports of a notification.
type report struct {
	Received time.Time `json:"received,omitzero" doc:"When it came, by the clock of the phone; give one of the three at least"`
	Shown    time.Time `json:"shown,omitzero" doc:"When it was shown, likewise"`
	Opened   time.Time `json:"opened,omitzero" doc:"When a person opened it, likewise"`
	Now      time.Time `json:"now" doc:"What the clock of the phone says when this is sent"`
}

// reportOf is a report, with the token that its push brought.
type reportOf struct {
	Token idlepush.Secret `path:"token" doc:"What follows /api/v1/receipts/ in the receipt of the push"`
	Body  report
}

// receiptHandlers takes the reports of phones.
type receiptHandlers struct {
	devices registry.Devices
	limits  *limits
}

func (h *receiptHandlers) receive(_ context.Context, c caller, in *reportOf) (*struct{}, error) {
	if err := h.limits.allowReceipt(c); err != nil {
		return nil, err
	}
	r := receipt.Report(in.Body)
	var f faults
	if r.Now.IsZero() {
		f.add(fault("now", "field_required"))
	}
	if r.Received.IsZero() && r.Shown.IsZero() && r.Opened.IsZero() {
		f.add(fault("received", "field_required").with("case", caseReceipt))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	err := h.devices.Receive(in.Token, r, time.Now())
	switch {
	case errors.Is(err, registry.ErrDenied):
		err = problem(http.StatusNotFound, "receipt_unknown")
	case errors.Is(err, registry.ErrNotFound):
		err = problem(http.StatusGone, "receipt_late")
	}
	return nil, err
}

// chain is how far the way to a device was last seen to work.
type chain struct {
	Queued   time.Time `json:"queued,omitzero" doc:"When a notification was last queued for it; absent, like the others: never, or at an unknown time, because the server's clock was set back since"`
	Accepted time.Time `json:"accepted,omitzero" doc:"When its push service last accepted a push"`
	Received time.Time `json:"received,omitzero" doc:"When it last reported that one came"`
	Shown    time.Time `json:"shown,omitzero" doc:"When it last reported that it has shown one"`
	Opened   time.Time `json:"opened,omitzero" doc:"When a person last opened one"`
	LastLink string    `json:"last_link,omitempty" enum:"accepted" doc:"accepted: it has never reported, so nothing is known of the way behind its push service; absent: it reports"`
	Trips    *trips    `json:"trips,omitempty" doc:"How long pushes have taken from their acceptance to the device in the last 7 days; absent: it has reported none"`
}

// trips is how long pushes take.
type trips struct {
	Median int64 `json:"median_ms" doc:"In milliseconds"`
	Of     int   `json:"of" doc:"Of how many pushes, at most 100"`
}

func chainOf(d idlepush.Device, last []receipt.Trip, now time.Time) chain {
	known := d.Chain.Known(now)
	c := chain{Queued: utc(known.Queued), Accepted: utc(known.Accepted), Received: utc(known.Received), Shown: utc(known.Shown), Opened: utc(known.Opened)}
	if !d.Chain.Reported() {
		c.LastLink = "accepted"
	}
	if median, of := receipt.Median(last, now); of > 0 {
		c.Trips = &trips{median.Milliseconds(), of}
	}
	return c
}

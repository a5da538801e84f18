package push

import (
	"log/slog"
	"time"

	"idlepush"
	"idlepush/registry"
)

// report logs the outcome of a delivery, and how long it took.
func (d *Dispatcher) report(log *slog.Logger, w registry.Work, took time.Duration, o registry.Outcome, now time.Time) {
	// Not With: it encodes them for a logger that would log once.
	args := []any{"transport", w.Device.Transport, "attempt", w.Attempts + 1, "duration", took}
	if o.Result == registry.ResultDelivered {
		log.Info("delivered", args...)
		return
	}
	args = append(args, "status", o.Code, "err", d.Codes.Sentence(o.Code, o.Params))
	switch o.Result {
	case registry.ResultRetry:
		log.Warn("not delivered, will be retried", append(args, "wait", o.At.Sub(now).Round(time.Second))...)
	case registry.ResultGone:
		log.Info("device removed, because its push service no longer knows it", args...)
	default:
		log.Error("not delivered", args...)
	}
}

// reportLane logs that a lane was paused or works again.
func reportLane(log *slog.Logger, lane string, o registry.Outcome) {
	if o.LaneWorks {
		log.Info("lane works again", "lane", lane)
	} else {
		log.Warn("lane paused", "lane", lane, "status", o.Code, "wait", o.PauseFor.Round(time.Second))
	}
}

// Sent is a try to send a delivery, as it is measured.
type Sent struct {
	Transport idlepush.Transport
	Service   string // see Transport.Service
	Result    registry.Result
	Took      time.Duration
	// AfterMail is the time from finding the mail to the acceptance of its push. It is zero if the
	// push is not about mail, or a hold or pause delayed it.
	AfterMail time.Duration
}

// measure reports the outcome of a delivery to Sent.
func (d *Dispatcher) measure(w registry.Work, took time.Duration, o registry.Outcome, now time.Time) {
	if d.Sent == nil {
		return
	}
	s := Sent{Transport: w.Device.Transport, Result: o.Result, Took: took}
	if t, found := d.Transports.Named(w.Device.Transport); found {
		s.Service = t.Service(w.Device)
	}
	if o.Result == registry.ResultDelivered && w.Notification.Kind == idlepush.KindMail && w.Decision.Waited == nil {
		s.AfterMail = max(now.Sub(w.Notification.At), 1)
	}
	d.Sent(s)
}

package push

import (
	"log/slog"
	"time"

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

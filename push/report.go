package push

import (
	"log/slog"
	"time"

	"idlepush/registry"
)

// report logs the outcome of a delivery.
func (d *Dispatcher) report(log *slog.Logger, o registry.Outcome, now time.Time) {
	reason := d.Codes.Sentence(o.Code, o.Params)
	switch o.Result {
	case registry.ResultDelivered:
		log.Info("delivered")
	case registry.ResultRetry:
		log.Warn("not delivered, will be retried", "status", o.Code, "err", reason, "wait", o.At.Sub(now).Round(time.Second))
	case registry.ResultGone:
		log.Info("device removed, because its push service no longer knows it", "status", o.Code, "err", reason)
	default:
		log.Error("not delivered", "status", o.Code, "err", reason)
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

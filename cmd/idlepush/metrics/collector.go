package metrics

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"idlepush"
	"idlepush/promise"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/watcher"
)

// collector collects the state of the store, the mailboxes and the queues.
type collector struct {
	store *registry.Store
	pool  *watcher.Pool
	at    Machine
}

var (
	mailboxes   = describe("mailboxes", "Mailboxes by state; disabled: nobody watches it.", "state")
	sessions    = describe("sessions", "Open connections with mail servers.")
	silence     = describe("session_silent_seconds", "The longest time since an open session has heard from its server.")
	interval    = describe("session_interval_seconds", "How long a connection may be silent, as learned: the shortest, the median and the longest.", "which")
	devices     = describe("devices", "Devices by transport and state; unconfirmed: it reported what reached it, and has stopped.", "transport", "state")
	backlog     = describe("queue_deliveries", "Deliveries in the queues; held: back by quiet hours or a burst.", "held")
	oldest      = describe("queue_oldest_seconds", "Age of the oldest delivery that is not held back.")
	pausedLanes = describe("lanes_paused", "Push services that are paused because they fail as a whole.", "transport")
	storeReady  = describe("store_ready", "1 if the store can be read and its last commit succeeded.")
	loopAge     = describe("loop_age_seconds", "Time since the slower of the two loops, over mailboxes and over queues, has gone round. Each does at least once a minute.")
	broken      = describe("promises_broken", "Promises that are broken: mailboxes, devices, push services, the store and the program, by code.", "code")
	dataRoom    = describe("data_free_bytes", "Free bytes on the disk of the data folder.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("idlepush_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{mailboxes, sessions, silence, interval, devices, backlog, oldest, pausedLanes, storeReady, loopAge, broken, dataRoom} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	ready := 1.0
	if c.store.Ready() != nil {
		ready = 0
	}
	gauge(storeReady, ready)
	if room, known := c.at.Room(); known {
		gauge(dataRoom, float64(room))
	}
	gauge(loopAge, c.at.Looked().Seconds())
	now := time.Now()
	counts := promise.Count(c.at.Broken(now))
	for _, e := range slices.Concat(promise.Codes, receipt.Codes) {
		gauge(broken, float64(counts[e.Code]), string(e.Code))
	}
	for _, collect := range []func(setter, time.Time) error{c.mailboxes, c.queues, c.devices} {
		if err := collect(gauge, now); err != nil {
			to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
	}
}

// setter sets the value of a metric.
type setter = func(d *prometheus.Desc, value float64, labels ...string)

// mailboxes collects the states of the mailboxes and their sessions.
func (c *collector) mailboxes(gauge setter, now time.Time) error {
	accounts, err := c.store.Mail.Accounts()
	if err != nil {
		return err
	}
	states := map[string]int{"disabled": 0}
	for _, s := range []idlepush.State{idlepush.StateNew, idlepush.StateWatching, idlepush.StatePolling, idlepush.StateRetrying, idlepush.StateAttention} {
		states[string(s)] = 0
	}
	open, silent, intervals := 0, time.Duration(0), []time.Duration(nil)
	for _, a := range accounts {
		if !a.Enabled {
			states["disabled"]++
			continue
		}
		states[string(a.Status.State)]++
		live := c.pool.Live(a.ID)
		if open += live.Connections; live.Connections > 0 {
			silent = max(silent, now.Sub(live.LastByte))
		}
		if live.Interval > 0 {
			intervals = append(intervals, live.Interval)
		}
	}
	for state, n := range states {
		gauge(mailboxes, float64(n), state)
	}
	gauge(sessions, float64(open))
	gauge(silence, silent.Seconds())
	if n := len(intervals); n > 0 {
		slices.Sort(intervals)
		gauge(interval, intervals[0].Seconds(), "shortest")
		gauge(interval, intervals[n/2].Seconds(), "median")
		gauge(interval, intervals[n-1].Seconds(), "longest")
	}
	return nil
}

// queues collects the backlog and the paused lanes.
func (c *collector) queues(gauge setter, now time.Time) error {
	waits, held, since, err := c.store.Outbox.Backlog()
	if err != nil {
		return err
	}
	gauge(backlog, float64(waits), "false")
	gauge(backlog, float64(held), "true")
	age := time.Duration(0)
	if !since.IsZero() {
		age = max(0, now.Sub(since))
	}
	gauge(oldest, age.Seconds())
	lanes, err := c.store.Devices.Lanes()
	if err != nil {
		return err
	}
	paused := make(map[string]int)
	for _, l := range lanes {
		transport, _, _ := strings.Cut(l.Name, " ")
		paused[transport]++
	}
	for transport, n := range paused {
		gauge(pausedLanes, float64(n), transport)
	}
	return nil
}

// devices collects the states of the devices.
func (c *collector) devices(gauge setter, now time.Time) error {
	list, err := c.store.Devices.List("")
	if err != nil {
		return err
	}
	type kind struct{ transport, state string }
	kinds := make(map[kind]int)
	for _, d := range list {
		kinds[kind{string(d.Transport), string(d.ShownStatus(now).State)}]++
	}
	for k, n := range kinds {
		gauge(devices, float64(n), k.transport, k.state)
	}
	return nil
}

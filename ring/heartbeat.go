package ring

// KindHeartbeat is the kind of a notification that says, every day or every Monday, that all works
// and how much mail rang.
const KindHeartbeat = "heartbeat"

// Heartbeat is when a device shows one. The zero Heartbeat is never.
type Heartbeat struct {
	Every Every  `json:",omitempty"`
	At    int    `json:",omitempty"` // minutes since midnight
	Zone  string `json:",omitempty"` // IANA name
}

// Every is how often a device shows a heartbeat; empty: never.
type Every string

// EveryWeek is on Mondays.
const (
	EveryDay  Every = "day"
	EveryWeek Every = "week"
)

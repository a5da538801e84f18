package ring

// KindProof is the kind of a notification that says that all works, and what has rung.
const KindProof = "proof"

// Proof is when a device shows that all works. The zero Proof is never.
type Proof struct {
	Every Every  `json:",omitempty"`
	At    int    `json:",omitempty"` // minutes since midnight
	Zone  string `json:",omitempty"` // IANA name
}

// Every is how often a device shows that all works; empty: never.
type Every string

// EveryWeek is on Mondays.
const (
	EveryDay  Every = "day"
	EveryWeek Every = "week"
)

package idlepush

import "time"

// Verdict says whether a person has something to do about what a step has found.
type Verdict string

// Nothing; to look at it, because it works but not as well as it could; or to repair it.
const (
	VerdictOK    Verdict = "ok"
	VerdictLook  Verdict = "look"
	VerdictWrong Verdict = "wrong"
)

// Step is one step of an examination, and what it has found. Its code has a sentence also if all is
// well.
type Step struct {
	Verdict
	Reason
	Took time.Duration // zero: it waited for nothing
}

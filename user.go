package idlepush

import "time"

// User is a person. An admin manages people and sees states, but never content.
type User struct {
	ID      string
	Name    string // what the person logs in with; unique without regard to case
	Admin   bool
	Created time.Time
}

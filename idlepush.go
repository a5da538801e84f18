// Package idlepush has the types that all packages of the program share: users, accounts, devices,
// notifications with their deliveries, and the reasons and states that people see of them. It has
// only rules that follow from the values themselves. Package registry stores these types.
//
// A [User] owns accounts and devices. An [Account] is a mailbox; new mail in it becomes a
// [Notification], and each device of those who see the account gets a [Delivery] of it. How much a
// [Device] shows of a mail is its [Level]. What went wrong is a [Reason]: a code with parameters.
package idlepush

import "time"

// User is a person. An admin manages people and sees states, but never content.
type User struct {
	ID      string
	Name    string // what the person logs in with; unique without regard to case
	Admin   bool
	Created time.Time

	PasswordGiven bool // an admin chose the password, and knows it
}

// Scope is what a token permits.
type Scope string

// ScopeFull permits all that the user may do. ScopeDevice permits the one device that the token
// registers, its notifications, and the names of accounts.
const (
	ScopeFull   Scope = "full"
	ScopeDevice Scope = "device"
)

package idlepush

import (
	"maps"
	"time"

	"idlepush/codes"
)

// Reason is what happened, as a code. A [codes.Table] makes a sentence of it for people. The zero
// Reason means that all is well.
type Reason struct {
	Code codes.Code // such as "apns_bad_device_token"
	// Params are the parameters of the sentence, such as "host"; nil if there are none. They never
	// hold a secret, the sender or subject of a mail, the path of an endpoint, or the raw answer
	// of a push service.
	Params map[string]string
}

// With returns the reason with one more parameter, or with another value of it.
func (r Reason) With(name, value string) Reason {
	params := make(map[string]string, len(r.Params)+1)
	maps.Copy(params, r.Params)
	params[name] = value
	return Reason{r.Code, params}
}

// Repeats reports whether r says the same as o, at another time perhaps (codes.Now).
func (r Reason) Repeats(o Reason) bool {
	if then, ok := o.Params[codes.Now]; ok && r.Params[codes.Now] != "" {
		r = r.With(codes.Now, then)
	}
	return r.Equal(o)
}

// Equal reports whether code and parameters are the same.
func (r Reason) Equal(o Reason) bool { return r.Code == o.Code && maps.Equal(r.Params, o.Params) }

// State is the state of an account or a device.
type State string

// An account is new until its first catch-up, then watching (IDLE) or polling; retrying while a
// session is down; and in attention when only a person can help, until the account is edited. A
// device is unproven until a push service accepts a push for it, then proven; suspect when its
// service complains about this one address.
const (
	StateNew       State = "new"
	StateWatching  State = "watching"
	StatePolling   State = "polling"
	StateRetrying  State = "retrying"
	StateAttention State = "attention"

	StateUnproven State = "unproven"
	// stateUnconfirmed is only shown; see Device.ShownStatus.
	stateUnconfirmed State = "unconfirmed"
	StateProven      State = "proven"
	StateSuspect     State = "suspect"
)

// Status is a state with its age. If something is wrong, it says what happened and what to do.
type Status struct {
	State  State
	Since  time.Time
	Reason           // zero when all is well
	Proof  time.Time // the last recorded catch-up or accepted push; zero: never

	// How many tries have failed since the last success, and when the first of them did. Of a
	// device: tries while its lane was not paused. Of an account: logins that were refused.
	Failures int       `json:",omitempty"`
	Failing  time.Time `json:",omitzero"`

	// Of an account: when a login that was refused is tried again, zero if none waits for that; and
	// when this password was last seen to log in, zero if never.
	Retry    time.Time `json:",omitzero"`
	LoggedIn time.Time `json:",omitzero"`
}

// Ended reports whether an account is not tried any more until it is edited. One whose password has
// logged in is never given up.
func (s Status) Ended() bool { return s.State == StateAttention && s.LoggedIn.IsZero() }

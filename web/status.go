package web

import (
	"time"

	"idlepush/registry"
)

// Standing is what every status says.
type Standing struct {
	Since  time.Time `json:"since" doc:"Since when that is so"`
	Code   string    `json:"code,omitempty" doc:"What is wrong, for programs; absent: nothing"`
	Reason string    `json:"reason,omitempty" doc:"What is wrong and what to do, for people"`
	Proof  time.Time `json:"proof,omitzero" doc:"When it was last seen to work; absent: never"`
}

// AccountStatus is how the watch over an account stands.
type AccountStatus struct {
	State string `json:"state" enum:"new,watching,polling,retrying,attention" doc:"new: not looked at yet; watching: told of mail at once; polling: asked now and then; retrying: the connection is down; attention: a person must act"`
	Standing
	LastByte       time.Time `json:"last_byte,omitzero" doc:"When the server last said anything in the session that is running; absent: none is"`
	Confirmed      time.Time `json:"confirmed,omitzero" doc:"When the server last confirmed that there is no more mail; absent: not since the program began"`
	LastMail       time.Time `json:"last_mail,omitzero" doc:"When mail last came that rings; absent: not since the program began"`
	Connections    int       `json:"connections" doc:"To the mail server, open now"`
	Interval       int       `json:"interval,omitempty" doc:"How long the connection may be silent before the server is asked, in seconds"`
	IntervalReason string    `json:"interval_reason,omitempty" doc:"Why it is that"`
	Unread         *int      `json:"unread,omitempty" doc:"Unread mails in the folders that are watched; absent: not known"`
}

// DeviceStatus is how well a device can be reached.
type DeviceStatus struct {
	State string `json:"state" enum:"unproven,proven,suspect" doc:"unproven: no push was accepted yet; proven: one was; suspect: its service complains about this address, or every try has failed for days: it is tried rarely"`
	Standing
	Failures int       `json:"failures,omitempty" doc:"Tries that failed since the last push that was accepted"`
	NextTry  time.Time `json:"next_try,omitzero" doc:"When what waits for it is tried next; absent: nothing waits"`
	Lane     *Lane     `json:"lane,omitempty" doc:"The pause of all devices of this push service; absent: there is none"`
}

// Lane is the pause of what fails together: a push service is down, or refuses this server. What waits is kept.
type Lane struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until" doc:"When it is tried again"`
	Code   string    `json:"code"`
	Reason string    `json:"reason"`
}

func standingOf(st registry.Status) Standing {
	return Standing{Since: st.Since.UTC(), Code: st.Code, Reason: st.Reason, Proof: utc(st.Proof)}
}

// utc keeps the zero time the zero time.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func (h *accountHandlers) accountStatus(a registry.Account) (AccountStatus, error) {
	live := h.mail.Live(a.ID)
	st := AccountStatus{State: string(a.Status.State), Standing: standingOf(a.Status), LastByte: utc(live.LastByte), Confirmed: utc(live.Confirmed),
		LastMail: utc(live.LastMail), Connections: live.Connections, Interval: int(live.Interval.Seconds()), IntervalReason: live.Why}
	for _, proof := range []time.Time{st.LastByte, st.Confirmed} {
		if proof.After(st.Proof) {
			st.Proof = proof
		}
	}
	unread, known, err := h.accounts.Unread(a.ID)
	if known {
		st.Unread = &unread
	}
	return st, err
}

func deviceStatus(d registry.Device, lanes []registry.Lane) DeviceStatus {
	st := DeviceStatus{State: string(d.Status.State), Standing: standingOf(d.Status), Failures: d.Status.Failures, NextTry: utc(d.Due)}
	for _, l := range lanes {
		if l.Name == d.Lane {
			st.Lane = &Lane{l.Since.UTC(), l.Until.UTC(), l.Code, l.Reason}
			if !st.NextTry.IsZero() && st.NextTry.Before(st.Lane.Until) {
				st.NextTry = st.Lane.Until
			}
		}
	}
	return st
}

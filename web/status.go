package web

import (
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// CommonStatus holds the fields that every status has.
type CommonStatus struct {
	Since  time.Time         `json:"since" doc:"When it reached this state; what is wrong may have changed since"`
	Code   codes.Code        `json:"code,omitempty" doc:"What is wrong, for programs; absent: nothing"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason string            `json:"reason,omitempty" doc:"What is wrong and what to do, for people"`
	Proof  time.Time         `json:"proof,omitzero" doc:"When it last worked; absent: never"`
}

// AccountStatus is the status of the session of an account.
type AccountStatus struct {
	State string `json:"state" enum:"new,watching,polling,retrying,attention" doc:"new: not connected yet; watching: the server reports new mail at once; polling: new mail is looked for at intervals; retrying: it is tried again by itself; attention: a person must act"`
	CommonStatus
	LastByte       time.Time         `json:"last_byte,omitzero" doc:"When the server last sent anything in the current session; absent: no session"`
	Confirmed      time.Time         `json:"confirmed,omitzero" doc:"When the server last confirmed that there is no more mail; absent: not since the program started"`
	LastMail       time.Time         `json:"last_mail,omitzero" doc:"When the last mail came that is notified; absent: not since the program started"`
	Connections    int               `json:"connections" doc:"Open connections to the mail server"`
	Interval       int               `json:"interval,omitempty" doc:"How long the connection may be silent before it is checked, in seconds"`
	IntervalCode   codes.Code        `json:"interval_code,omitempty" doc:"Reason for interval, for programs"`
	IntervalParams map[string]string `json:"interval_params,omitempty" doc:"The parameters of interval_code"`
	IntervalReason string            `json:"interval_reason,omitempty" doc:"Reason for interval, for people"`
	Tour           int               `json:"tour,omitempty" doc:"How often folders other than INBOX are looked at, in seconds; absent: the server reports their changes, or none are watched"`
	Unread         *int              `json:"unread,omitempty" doc:"Unread mails in the watched folders, as the badge counts them; absent: unknown, or not watched"`
	NextTry        time.Time         `json:"next_try,omitzero" doc:"When a login that was refused is tried again; absent: nothing waits for that"`
}

// DeviceStatus is the status of the deliveries to a device.
type DeviceStatus struct {
	State string `json:"state" enum:"unproven,proven,suspect,unconfirmed" doc:"unproven: no push was accepted yet; proven: a push was accepted; unconfirmed: it has stopped reporting that pushes reach it, since then; suspect: its service complains about this address or refuses this device alone, or every try has failed for days, so it is tried rarely"`
	CommonStatus
	Failures int       `json:"failures,omitempty" doc:"Failed tries since the last accepted push"`
	NextTry  time.Time `json:"next_try,omitzero" doc:"When the queue of the device is tried next; absent: the queue is empty"`
	Chain    chain     `json:"chain" doc:"How far the way to the device was last seen to work"`
	Lane     *Lane     `json:"lane,omitempty" doc:"Pause of all devices of this push service; absent: not paused"`
}

// Lane is the pause of a push service that is down or rejects this server. Notifications stay
// queued.
type Lane struct {
	Since  time.Time         `json:"since"`
	Until  time.Time         `json:"until" doc:"When the service is tried again"`
	Code   codes.Code        `json:"code"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason string            `json:"reason"`
}

func commonStatus(t codes.Table, st idlepush.Status) CommonStatus {
	return CommonStatus{Since: st.Since.UTC(), Code: st.Code, Params: st.Params, Reason: t.Sentence(st.Code, st.Params), Proof: utc(st.Proof)}
}

// utc returns t in UTC. The zero time stays the zero time.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func (h *accountHandlers) accountStatus(a idlepush.Account) (AccountStatus, error) {
	live := h.mail.Live(a.ID)
	st := AccountStatus{State: string(a.Status.State), CommonStatus: commonStatus(h.codes, a.Status), LastByte: utc(live.LastByte), Confirmed: utc(live.Confirmed),
		LastMail: utc(live.LastMail), Connections: live.Connections, Interval: int(live.Interval.Seconds()),
		IntervalCode: live.Why.Code, IntervalParams: live.Why.Params, IntervalReason: h.codes.Sentence(live.Why.Code, live.Why.Params), Tour: int(live.Tour.Seconds()), NextTry: utc(a.Status.Retry)}
	for _, proof := range []time.Time{st.LastByte, st.Confirmed} {
		if proof.After(st.Proof) {
			st.Proof = proof
		}
	}
	unread, known, err := h.accounts.Unread(a.ID)
	if known && a.Enabled {
		st.Unread = &unread
	}
	return st, err
}

func (h *deviceHandlers) deviceStatus(d idlepush.Device, lanes []registry.Lane, now time.Time) DeviceStatus {
	d.Status = d.ShownStatus(now)
	if d.Chain.Known(now).Accepted.IsZero() {
		d.Status.Proof = time.Time{}
	}
	st := DeviceStatus{State: string(d.Status.State), CommonStatus: commonStatus(h.codes, d.Status), Failures: d.Status.Failures, NextTry: utc(d.Due)}
	for _, l := range lanes {
		if l.Name == d.Lane {
			st.Lane = &Lane{l.Since.UTC(), l.Until.UTC(), l.Code, l.Params, h.codes.Sentence(l.Code, l.Params)}
			if !st.NextTry.IsZero() && st.NextTry.Before(st.Lane.Until) {
				st.NextTry = st.Lane.Until
			}
		}
	}
	return st
}

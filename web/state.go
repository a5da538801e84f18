package web

import (
	"context"
	"maps"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/registry"
)

// state is whether all is well for the person who asks.
type state struct {
	Well      bool            `json:"well" doc:"Whether broken is empty"`
	Mailboxes int             `json:"mailboxes" doc:"How many own and shared mailboxes are watched"`
	Heard     time.Time       `json:"heard,omitzero" doc:"When the mail server of the quietest of them was last heard from; absent: one has never been heard from, or none is watched"`
	Devices   int             `json:"devices" doc:"Own devices that ring: a push was accepted, and their service does not complain"`
	Broken    []brokenPromise `json:"broken" doc:"What does not work as it should, oldest first"`
	Others    int             `json:"others,omitempty" doc:"For admins: how many such things concern only other people"`
}

// brokenPromise is one thing that does not work as it should.
type brokenPromise struct {
	Code    codes.Code        `json:"code" doc:"What is wrong, for programs"`
	Params  map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason  string            `json:"reason" doc:"What is wrong and what to do, for people"`
	Since   time.Time         `json:"since"`
	Account string            `json:"account,omitempty" doc:"Id of the account that it is about"`
	Device  string            `json:"device,omitempty" doc:"Id of the device that it is about"`
}

// stateHandlers serves whether all is well.
type stateHandlers struct {
	accounts registry.Accounts
	devices  registry.Devices
	live     func(account string) Live
	broken   func() []promise.Broken
	codes    codes.Table
}

// getState returns the state of the caller's mailboxes and devices. The admin token has none: it
// sees the broken promises that concern everybody or all admins, and counts of all.
func (h *stateHandlers) getState(_ context.Context, c caller, _ *struct{}) (*body[state], error) {
	out := state{Broken: []brokenPromise{}}
	isAdmin := requireAdmin(c) == nil
	for _, b := range h.broken() {
		if b.Concerns(c.user.ID, isAdmin) {
			out.Broken = append(out.Broken, brokenPromise{b.Code, maps.Clone(b.Params), h.codes.Sentence(b.Code, b.Params), b.Since.UTC(), b.Account, b.Device})
		} else if isAdmin {
			out.Others++
		}
	}
	out.Well = len(out.Broken) == 0
	accounts, err := h.accounts.List()
	if err != nil {
		return nil, err
	}
	var heard []time.Time
	for _, a := range accounts {
		if a.Enabled && c.sees(a) {
			live := h.live(a.ID)
			heard = append(heard, slices.MaxFunc([]time.Time{live.LastByte, live.Confirmed, a.Status.Proof}, time.Time.Compare))
		}
	}
	if out.Mailboxes = len(heard); out.Mailboxes > 0 {
		out.Heard = utc(slices.MinFunc(heard, time.Time.Compare))
	}
	devices, err := devicesOf(h.devices, c)
	for _, d := range devices {
		if d.Status.State == idlepush.StateProven {
			out.Devices++
		}
	}
	return &body[state]{out}, err
}

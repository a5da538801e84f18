package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"idlepush/registry"
)

// createDevice registers a device: validate, prove, store.
func (h *deviceHandlers) createDevice(ctx context.Context, c caller, in *body[NewDevice]) (*made[Device], error) {
	user, err := userFor(h.users, c, in.Body.User)
	if err != nil {
		return nil, err
	}
	d, wrong := h.newDevice(in.Body, user)
	d.Session = c.session()
	if err := h.checkDevice(d, d.Accounts, wrong); err != nil {
		return nil, err
	}
	if err := h.push.CheckAddress(d); err != nil {
		return nil, err
	}
	known, err := h.devices.At(d)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	if known.Status.State == registry.Proven {
		d = h.transports.named(d.Transport).inherit(d, known)
	}
	// What another user registered is new to this one, who may not even hold the keys.
	if known.User != user || !d.SameAddress(known) {
		if d, err = h.prove(ctx, c, d); err != nil {
			return nil, err
		}
	}
	d, created, err := h.devices.Put(h.push.Route(d), c.session(), time.Now())
	if err != nil {
		return nil, ended(err)
	}
	out, err := h.shown(d)
	return &made[Device]{statusOf(created), out}, err
}

// patchDevice changes a device, with a proving push where that changes its address or keys.
func (h *deviceHandlers) patchDevice(ctx context.Context, c caller, in *edit[DevicePatch]) (*body[Device], error) {
	old, err := h.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	d, wrong := h.patched(old, in.Body)
	var accounts []string
	if in.Body.Accounts.given {
		accounts = d.Accounts // others may name accounts that have gone since
	}
	if err := h.checkDevice(d, accounts, wrong); err != nil {
		return nil, err
	}
	fresh := !d.SameAddress(old)
	var proof registry.Device // its status is empty: as it is, which a push under way may change
	if fresh {
		if err := h.push.CheckAddress(d); err != nil {
			return nil, err
		}
		if proof, err = h.prove(ctx, c, d); err != nil {
			return nil, err
		}
	}
	return h.writeDevice(c, in, old, proof)
}

// writeDevice applies the patch to the device as it is now. proof is what a push to its new address has
// shown, if it has one; the device was old then.
func (h *deviceHandlers) writeDevice(c caller, in *edit[DevicePatch], old, proof registry.Device) (*body[Device], error) {
	now, err := h.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	d, _ := h.patched(now, in.Body)
	then, _ := h.patched(old, in.Body)
	fresh := !then.SameAddress(old)
	if in.Body.Subscription != nil && c.session() != "" {
		d.Session = c.session() // the browser itself speaks
	}
	// Of an address that another request has changed meanwhile, nothing was proved.
	if !now.SameAddress(old) && (fresh || !d.SameAddress(now)) {
		return nil, problem(http.StatusConflict, "changed", "This device was changed by another request at the same time. Look at it, then try again.")
	}
	d.Status = proof.Status
	d, _ = d.Learn(&registry.Learned{Params: proof.Params})
	d, err = h.devices.Update(h.push.Route(d), time.Now())
	if errors.Is(err, registry.ErrStale) {
		return h.writeDevice(c, in, old, proof)
	}
	if errors.Is(err, registry.ErrTaken) {
		return nil, problem(http.StatusConflict, "taken", "That address is registered as another device. Remove one of the two.")
	}
	if err != nil {
		return nil, ended(err)
	}
	out, err := h.shown(d)
	return &body[Device]{out}, err
}

// checkDevice refuses what can be seen to be wrong without knowing more of the transport than its
// fields. accounts are those that the request names; wrong is what is wrong with the address.
func (h *deviceHandlers) checkDevice(d registry.Device, accounts []string, wrong faults) error {
	var f faults
	if !printable(d.Name) || strings.TrimSpace(d.Name) == "" {
		f.add("name", "must be printable and not blank")
	}
	f = append(f, wrong...)
	for i, id := range accounts {
		a, err := h.accounts.Get(id)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		if err != nil || !a.Visible(d.User) || slices.Contains(accounts[:i], id) {
			f.add(indexed("accounts", i), "is no account of this user, or twice in the list")
		}
	}
	return f.err()
}

// prove sends the one proving push, and gives the device with what that showed of it. A service that says no to this address
// fails the registration; one that is down, or a server that is not set up right, leaves the device unproven.
func (h *deviceHandlers) prove(ctx context.Context, c caller, d registry.Device) (registry.Device, error) {
	if err := h.limits.allowPush(c); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	o := h.push.Prove(ctx, d)
	switch {
	case o.Result == registry.ResultDelivered:
		return shownBy(o, d), nil
	case o.Result == registry.ResultGone, o.Result == registry.ResultRefused, o.Suspect:
		return d, unprocessable(h.transports.named(d.Transport).addressField(), o.Code, o.Reason)
	}
	d.Status = registry.Status{State: registry.Unproven, Code: o.Code, Reason: o.Reason}
	return d, nil
}

// shownBy is the device once a push to it was accepted.
func shownBy(o registry.Outcome, d registry.Device) registry.Device {
	d.Status = registry.Status{State: registry.Proven, Proof: time.Now()}
	d, _ = d.Learn(o.Learned)
	return d
}

// Tested is what came of a test push.
type Tested struct {
	Result string `json:"result" enum:"delivered,retry,gone,refused,misconfigured" doc:"delivered: the push service took it; retry: it could not now; gone: it says that the address is dead; refused: it refused the message; misconfigured: it refuses this server"`
	Code   string `json:"code,omitempty" doc:"What is wrong, for programs"`
	Reason string `json:"reason,omitempty" doc:"What is wrong and what to do, for people"`
}

func (h *deviceHandlers) testDevice(ctx context.Context, c caller, in *byID) (*body[Tested], error) {
	d, err := h.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.limits.allowPush(c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	o := h.push.Prove(ctx, d)
	if _, learned := d.Learn(o.Learned); o.Result == registry.ResultDelivered && (d.Status.State != registry.Proven || learned) {
		err = h.proven(c, d, o)
	}
	return &body[Tested]{Tested{string(o.Result), o.Code, o.Reason}}, err
}

// proven notes that a push to the device as it was has been accepted.
func (h *deviceHandlers) proven(c caller, was registry.Device, o registry.Outcome) error {
	d, err := h.deviceOwned(c, was.ID)
	if errors.Is(err, registry.ErrNotFound) || err == nil && !d.SameAddress(was) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = h.devices.Update(h.push.Route(shownBy(o, d)), time.Now())
	if errors.Is(err, registry.ErrStale) {
		return h.proven(c, was, o)
	}
	return err
}

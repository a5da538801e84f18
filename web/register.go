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
func (s *server) createDevice(ctx context.Context, c caller, in *body[NewDevice]) (*made[Device], error) {
	user, err := s.userFor(c, in.Body.User)
	if err != nil {
		return nil, err
	}
	d, wrong := s.newDevice(in.Body, user)
	d.Session = c.session()
	if err := s.checkDevice(d, d.Accounts, wrong); err != nil {
		return nil, err
	}
	if err := s.CheckAddress(d); err != nil {
		return nil, err
	}
	known, err := s.Devices.At(d)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	if known.Status.State == registry.Proven {
		d = s.transport(d.Transport).inherit(d, known)
	}
	// What another user registered is new to this one, who may not even hold the keys.
	if known.User != user || !d.SameAddress(known) {
		if d, err = s.prove(ctx, c, d); err != nil {
			return nil, err
		}
	}
	d, created, err := s.Devices.Put(s.Route(d), c.session(), time.Now())
	if err != nil {
		return nil, ended(err)
	}
	out, err := s.shown(d)
	return &made[Device]{statusOf(created), out}, err
}

// patchDevice changes a device, with a proving push where that changes its address or keys.
func (s *server) patchDevice(ctx context.Context, c caller, in *edit[DevicePatch]) (*body[Device], error) {
	old, err := s.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	d, wrong := s.patched(old, in.Body)
	var accounts []string
	if in.Body.Accounts.given {
		accounts = d.Accounts // others may name accounts that have gone since
	}
	if err := s.checkDevice(d, accounts, wrong); err != nil {
		return nil, err
	}
	fresh := !d.SameAddress(old)
	var proof registry.Device // its status is empty: as it is, which a push under way may change
	if fresh {
		if err := s.CheckAddress(d); err != nil {
			return nil, err
		}
		if proof, err = s.prove(ctx, c, d); err != nil {
			return nil, err
		}
	}
	return s.writeDevice(c, in, old, proof)
}

// writeDevice applies the patch to the device as it is now. proof is what a push to its new address has
// shown, if it has one; the device was old then.
func (s *server) writeDevice(c caller, in *edit[DevicePatch], old, proof registry.Device) (*body[Device], error) {
	now, err := s.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	d, _ := s.patched(now, in.Body)
	then, _ := s.patched(old, in.Body)
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
	d, err = s.Devices.Update(s.Route(d), time.Now())
	if errors.Is(err, registry.ErrStale) {
		return s.writeDevice(c, in, old, proof)
	}
	if errors.Is(err, registry.ErrTaken) {
		return nil, problem(http.StatusConflict, "taken", "That address is registered as another device. Remove one of the two.")
	}
	if err != nil {
		return nil, ended(err)
	}
	out, err := s.shown(d)
	return &body[Device]{out}, err
}

// checkDevice refuses what can be seen to be wrong without knowing more of the transport than its
// fields. accounts are those that the request names; wrong is what is wrong with the address.
func (s *server) checkDevice(d registry.Device, accounts []string, wrong faults) error {
	var f faults
	if !printable(d.Name) || strings.TrimSpace(d.Name) == "" {
		f.add("name", "must be printable and not blank")
	}
	f = append(f, wrong...)
	for i, id := range accounts {
		a, err := s.Accounts.Get(id)
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
func (s *server) prove(ctx context.Context, c caller, d registry.Device) (registry.Device, error) {
	if err := s.pushTried(c); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	o := s.Prove(ctx, d)
	switch {
	case o.Result == registry.ResultDelivered:
		return shownBy(o, d), nil
	case o.Result == registry.ResultGone, o.Result == registry.ResultRefused, o.Suspect:
		return d, unprocessable(s.transport(d.Transport).addressField(), o.Code, o.Reason)
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

func (s *server) testDevice(ctx context.Context, c caller, in *byID) (*body[Tested], error) {
	d, err := s.deviceOwned(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.pushTried(c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	o := s.Test(ctx, d)
	if _, learned := d.Learn(o.Learned); o.Result == registry.ResultDelivered && (d.Status.State != registry.Proven || learned) {
		err = s.proven(c, d, o)
	}
	return &body[Tested]{Tested{string(o.Result), o.Code, o.Reason}}, err
}

// proven notes that a push to the device as it was has been accepted.
func (s *server) proven(c caller, was registry.Device, o registry.Outcome) error {
	d, err := s.deviceOwned(c, was.ID)
	if errors.Is(err, registry.ErrNotFound) || err == nil && !d.SameAddress(was) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Devices.Update(s.Route(shownBy(o, d)), time.Now())
	if errors.Is(err, registry.ErrStale) {
		return s.proven(c, was, o)
	}
	return err
}

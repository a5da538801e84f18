package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// createDevice registers a device: validate, send a proving push, store.
func (h *deviceHandlers) createDevice(ctx context.Context, c caller, in *body[newDevice]) (*made[Device], error) {
	user, err := userFor(h.users, c, in.Body.User)
	if err != nil {
		return nil, err
	}
	d, wrong := h.requestedDevice(in.Body, user)
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
	if err := h.checkOnly(c, known.ID); err != nil {
		return nil, err
	}
	if known.Status.State == idlepush.StateProven {
		d = h.transports.named(d.Transport).inherit(d, known)
	}
	if c.scope == admin && known.ID != "" && (known.User != user || !d.SameAddress(known)) {
		return nil, h.adminMoves(d)
	}
	// A device of another user counts as new, because the caller may not even have its keys.
	if known.User != user || !d.SameAddress(known) {
		if d, err = h.prove(ctx, c, d, known.ID); err != nil {
			return nil, err
		}
	}
	d, created, err := h.register(c, h.push.Route(d))
	if errors.Is(err, registry.ErrTaken) { // it has registered another meanwhile
		if err = h.checkOnly(c, known.ID); err == nil {
			err = problem(http.StatusConflict, "changed")
		}
	}
	if err != nil {
		return nil, notAdded(err, "too_many_devices")
	}
	out, err := h.view(d)
	return &made[Device]{statusOf(created), out}, err
}

// adminMoves is the fault if the admin token would send what a device gets elsewhere.
func (h *deviceHandlers) adminMoves(d idlepush.Device) error {
	return fault(h.transports.named(d.Transport).addressField(), "field_forbidden").with(codes.Case, caseAdminMoves)
}

func (h *deviceHandlers) register(c caller, d idlepush.Device) (_ idlepush.Device, created bool, err error) {
	if c.scope == admin {
		return h.devices.RegisterByAdmin(d, time.Now())
	}
	return h.devices.Register(d, c.token.ID, time.Now())
}

func (h *deviceHandlers) update(c caller, d idlepush.Device) (idlepush.Device, error) {
	if c.scope == admin {
		return h.devices.UpdateByAdmin(d, time.Now())
	}
	return h.devices.UpdateAs(d, c.token.ID, time.Now())
}

// checkOnly returns a problem if the caller's token of device scope has another device than known,
// the id of the one that it registers. known is empty if that is new.
func (h *deviceHandlers) checkOnly(c caller, known string) error {
	if c.scope != device {
		return nil
	}
	own, err := devicesOf(h.devices, c)
	if err == nil && len(own) > 0 && own[0].ID != known {
		return problem(http.StatusConflict, "token_has_device").with("device", own[0].ID)
	}
	return err
}

// patchDevice changes a device. It sends a proving push if the address or the keys change.
func (h *deviceHandlers) patchDevice(ctx context.Context, c caller, in *edit[devicePatch]) (*body[Device], error) {
	old, err := h.ownDevice(c, in.ID)
	if err != nil {
		return nil, err
	}
	d, wrong := h.patched(old, in.Body)
	if c.scope == device && !old.Content.Allows(d.Content) {
		wrong.add(fault("content", "field_forbidden").with(codes.Case, caseAppToken))
	}
	var accounts []string
	if in.Body.Accounts.given {
		accounts = d.Accounts // the stored ones may have been removed since
	}
	if err := h.checkDevice(d, accounts, wrong); err != nil {
		return nil, err
	}
	fresh := !d.SameAddress(old)
	if fresh && c.scope == admin {
		return nil, h.adminMoves(d)
	}
	var proof idlepush.Device // its empty status keeps the stored one, which a push may change
	if fresh {
		if err := h.push.CheckAddress(d); err != nil {
			return nil, err
		}
		if proof, err = h.prove(ctx, c, d, old.ID); err != nil {
			return nil, err
		}
	}
	return h.writeDevice(c, in, old, proof)
}

// writeDevice applies the patch to the device as it is now. old is the device before the proving
// push, and proof is what that push showed; proof is zero if none was sent.
func (h *deviceHandlers) writeDevice(c caller, in *edit[devicePatch], old, proof idlepush.Device) (*body[Device], error) {
	now, err := h.ownDevice(c, in.ID)
	if err != nil {
		return nil, err
	}
	d, _ := h.patched(now, in.Body)
	then, _ := h.patched(old, in.Body)
	fresh := !then.SameAddress(old)
	// The address is the caller's, or the request comes from the browser of the device.
	if c.scope != admin && (fresh || in.Body.Subscription != nil && c.token.Session) {
		d.By = c.token.ID
	}
	if c.scope == device && !now.Content.Allows(d.Content) {
		// The person has lowered its level meanwhile.
		return nil, problem(http.StatusConflict, "changed")
	}
	// Another request has changed the address meanwhile, and nothing proved that one.
	if !now.SameAddress(old) && (fresh || !d.SameAddress(now)) {
		return nil, problem(http.StatusConflict, "changed")
	}
	d.Status = proof.Status
	d, _ = d.Learn(&idlepush.Learned{Params: proof.Params})
	d, err = h.update(c, h.push.Route(d))
	if errors.Is(err, registry.ErrStale) {
		return h.writeDevice(c, in, old, proof)
	}
	if errors.Is(err, registry.ErrTaken) {
		return nil, problem(http.StatusConflict, "taken").with(codes.Case, caseDevice)
	}
	if err != nil {
		return nil, sessionEnded(err)
	}
	out, err := h.view(d)
	return &body[Device]{out}, err
}

// checkDevice returns the faults that can be found without the transport. accounts are the accounts
// that the request names, and wrong holds the faults of the address.
func (h *deviceHandlers) checkDevice(d idlepush.Device, accounts []string, wrong faults) error {
	var f faults
	if d.Name == "" {
		f.add(badLabel())
	}
	f = append(f, wrong...)
	for i, id := range accounts {
		a, err := h.accounts.Get(id)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		if err != nil || !a.Visible(d.User) || slices.Contains(accounts[:i], id) {
			f.add(fault(indexed("accounts", i), "field_unknown_account"))
		}
	}
	return f.err()
}

// laneProvenFor is how long an accepted push shows that the service does not refuse this server. A
// new device of that lane which it refuses has a fault of its own.
const laneProvenFor = time.Hour

// prove sends one proving push and returns the device with what it showed. It returns a problem if
// the service rejects this address, also if it blames this server but has just accepted a push to
// another device than the stored one. If the service is down, or this server is misconfigured, it
// returns the device as unproven. It blocks for at most pushTimeout.
func (h *deviceHandlers) prove(ctx context.Context, c caller, d idlepush.Device, stored string) (idlepush.Device, error) {
	if err := h.limits.allowPush(c); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	o := h.push.Prove(ctx, d)
	field := h.transports.named(d.Transport).addressField()
	switch {
	case o.Result == registry.ResultDelivered:
		return provenBy(o, d), nil
	case o.Result == registry.ResultGone, o.Result == registry.ResultRefused, o.Suspect:
		return d, unprocessableOf(h.codes, field, o.Reason)
	case o.Result == registry.ResultMisconfigured && !o.NotSent:
		last, err := h.devices.LastProof(h.push.Route(d).Lane, stored)
		if err != nil {
			return d, err
		}
		if age := time.Since(last); 0 <= age && age < laneProvenFor {
			return d, unprocessableOf(h.codes, field, registry.DeviceRefused)
		}
	}
	d.Status = idlepush.Status{State: idlepush.StateUnproven, Reason: o.Reason}
	return d, nil
}

// provenBy returns the device after a push to it was accepted.
func provenBy(o registry.Outcome, d idlepush.Device) idlepush.Device {
	d.Status = idlepush.Status{State: idlepush.StateProven, Proof: time.Now()}
	d, _ = d.Learn(o.Learned)
	return d
}

// Tested is the outcome of a test push.
type Tested struct {
	Result string            `json:"result" enum:"delivered,retry,gone,refused,misconfigured" doc:"delivered: the push service accepted it; retry: it failed for now; gone: the address is no longer valid; refused: the service rejected the message; misconfigured: the service rejects this server"`
	Code   codes.Code        `json:"code,omitempty" doc:"What is wrong, for programs"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason string            `json:"reason,omitempty" doc:"What is wrong and what to do, for people"`
}

func (h *deviceHandlers) testDevice(ctx context.Context, c caller, in *byID) (*body[Tested], error) {
	d, err := h.ownDevice(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.limits.allowPush(c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	o := h.push.Prove(ctx, d)
	if _, learned := d.Learn(o.Learned); o.Result == registry.ResultDelivered && (d.Status.State != idlepush.StateProven || learned) {
		err = h.markProven(c, d, o)
	}
	return &body[Tested]{Tested{string(o.Result), o.Code, o.Params, h.codes.Sentence(o.Code, o.Params)}}, err
}

// markProven stores that a push was accepted by the device was, unless its address has changed
// since.
func (h *deviceHandlers) markProven(c caller, was idlepush.Device, o registry.Outcome) error {
	d, err := h.ownDevice(c, was.ID)
	if errors.Is(err, registry.ErrNotFound) || err == nil && !d.SameAddress(was) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = h.devices.Update(h.push.Route(provenBy(o, d)), time.Now())
	if errors.Is(err, registry.ErrStale) {
		return h.markProven(c, was, o)
	}
	return err
}

package web

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/ring"
)

// mute is mail that does not ring for a while.
type mute struct {
	ID     string    `json:"id"`
	Of     string    `json:"of" enum:"mailbox,sender,conversation"`
	Sender string    `json:"sender,omitempty" doc:"sender: the address"`
	Title  string    `json:"title,omitempty" doc:"conversation: the subject of the mail by which it was muted; absent for an app whose device is not told it"`
	Device string    `json:"device,omitempty" doc:"Id of the only device that is quiet; absent: all of the person"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero" doc:"When it ends; absent: never"`
}

// newMute is a request to mute something.
type newMute struct {
	Of           string     `json:"of" enum:"mailbox,sender,conversation"`
	Notification string     `json:"notification,omitempty" maxLength:"64" doc:"Stable id of a mail of the mailbox: its sender or its conversation is muted"`
	Sender       string     `json:"sender,omitempty" maxLength:"254" doc:"sender: the address, in the place of notification"`
	Device       string     `json:"device,omitempty" maxLength:"64" doc:"Id of the only device that is to be quiet; absent: all of the person. A token of device scope names its own"`
	Until        *time.Time `json:"until,omitempty" doc:"When it ends; absent: never"`
}

// oneMute is the input of a route for one mute of a mailbox.
type oneMute struct {
	ID   string `path:"id"`
	Mute string `path:"mute"`
}

// maxMuteDays is how many days a mute with an end can last.
const maxMuteDays = 366

func muteOf(m ring.Mute) mute {
	return mute{m.ID, string(m.Of), m.Sender, m.Title, m.Device, m.Since.UTC(), utc(m.Until)}
}

func (h *wishHandlers) createMute(_ context.Context, c caller, in *edit[newMute]) (*body[mute], error) {
	a, err := h.accounts.visibleAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	m, by, err := h.requestedMute(c, a.ID, in.Body, now)
	if err != nil {
		return nil, err
	}
	m, err = h.accounts.accounts.Mute(c.user.ID, a.ID, m, now)
	if err != nil {
		return nil, notAdded(err, "too_many_mutes")
	}
	out := muteOf(m)
	if in.Body.Notification != "" && by.From == "" {
		out.Sender = ""
	}
	if by.Subject == "" {
		out.Title = ""
	}
	return &body[mute]{out}, nil
}

// requestedMute returns the mute of a request, and what the caller may see of the mail by which it
// is made, if there is one.
func (h *wishHandlers) requestedMute(c caller, account string, in newMute, now time.Time) (m ring.Mute, by idlepush.Content, err error) {
	m = ring.Mute{Of: ring.MuteOf(in.Of), Device: in.Device}
	if in.Until != nil {
		m.Until = *in.Until
	}
	f := in.faults(c, now)
	if in.Device != "" {
		_, err := h.devices.ownDevice(c, in.Device)
		if errors.Is(err, registry.ErrNotFound) {
			f.add(fault("device", "field_unknown_device"))
		} else if err != nil {
			return m, by, err
		}
	}
	if err := f.err(); err != nil {
		return m, by, err
	}
	if in.Notification == "" {
		m.Sender, _ = senderOf(in.Sender)
		return m, by, nil
	}
	n, err := h.notifications.seenMail(c, account, in.Notification)
	if errors.Is(err, registry.ErrNotFound) {
		err = fault("notification", "field_unknown_mail")
	}
	if err != nil {
		return m, by, err
	}
	switch {
	case !slices.Contains(mutesOf(n), in.Of):
		return m, by, fault("notification", "field_not_muted").with(codes.Case, in.Of)
	case m.Of == ring.MuteSender:
		m.Sender = n.Facts.From
	default:
		thread := n.Facts.Thread
		m.Thread, m.Title = slices.Compact([]string{thread[0], thread[len(thread)-1]}), cmp.Or(n.Content.Subject, n.Facts.Subject)
	}
	return m, n.Content, nil
}

// faults returns the faults of the request that can be found without the store.
func (in newMute) faults(c caller, now time.Time) (f faults) {
	of := ring.MuteOf(in.Of)
	if in.Sender != "" && (of != ring.MuteSender || in.Notification != "") {
		f.add(fault("sender", "field_forbidden").with(codes.Case, caseMute))
	} else if _, isAddress := senderOf(in.Sender); in.Sender != "" && !isAddress {
		f.add(fault("sender", "field_bad_address"))
	}
	if in.Notification != "" && of == ring.MuteMailbox {
		f.add(fault("notification", "field_forbidden").with(codes.Case, caseMute))
	} else if in.Notification == "" && (of == ring.MuteConversation || of == ring.MuteSender && in.Sender == "") {
		f.add(fault("notification", "field_required"))
	}
	if in.Device == "" && c.scope == device {
		f.add(fault("device", "field_required").with(codes.Case, caseAppToken))
	}
	switch latest := now.AddDate(0, 0, maxMuteDays); {
	case in.Until == nil:
	case !in.Until.After(now):
		f.add(fault("until", "field_past"))
	case in.Until.After(latest):
		f.add(fault("until", "field_too_late").with("limit", strconv.Itoa(maxMuteDays)))
	}
	return f
}

// mutesOf returns what of a notification can be muted.
func mutesOf(n idlepush.Notification) (list []string) {
	if n.Account == "" || !n.Kind.IsOfMail() {
		return nil
	}
	if n.Facts.From != "" {
		list = append(list, string(ring.MuteSender))
	}
	if len(n.Facts.Thread) > 0 {
		list = append(list, string(ring.MuteConversation))
	}
	return append(list, string(ring.MuteMailbox))
}

// deleteMute ends a mute. A token of device scope ends only those of its device.
func (h *wishHandlers) deleteMute(_ context.Context, c caller, in *oneMute) (*struct{}, error) {
	if _, err := h.accounts.visibleAccount(c, in.ID); err != nil {
		return nil, err
	}
	if c.scope == device {
		w, err := h.accounts.accounts.Wishes(c.user.ID, in.ID)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(w.Mutes, func(m ring.Mute) bool { return m.ID == in.Mute && m.Device != "" })
		if i < 0 {
			return nil, registry.ErrNotFound
		}
		if _, err := h.devices.ownDevice(c, w.Mutes[i].Device); err != nil {
			return nil, err
		}
	}
	return nil, h.accounts.accounts.Unmute(c.user.ID, in.ID, in.Mute, time.Now())
}

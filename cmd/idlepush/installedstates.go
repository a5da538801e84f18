package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/registry"
)

// accounts tells the state of each account, without anything of its mail.
func (x installation) accounts(context.Context) findings {
	f := findings{subject: "mailboxes"}
	if x.store == nil {
		return f
	}
	list, err := x.store.Accounts.List()
	if err != nil {
		f.wrong("they cannot be read: %v", err)
		return f
	}
	for _, a := range list {
		text := fmt.Sprintf("%s (id %s): %s", a.Email, a.ID, stateOf(a, x.asOf(), time.Now()))
		f.list = append(f.list, finding{verdictOf(a), f.subject, text, 0})
	}
	if len(list) == 0 {
		f.look("there is none yet: add one on the page")
	}
	return f
}

// damagedRow says why an account is damaged, and what to do.
const damagedRow = "its row in the store was changed without the key: remove it on the page, and add it again"

func verdictOf(a idlepush.Account) idlepush.Verdict {
	switch {
	case a.Damaged(), a.Enabled && a.Status.State == idlepush.StateAttention:
		return idlepush.VerdictWrong
	case !a.Enabled, slices.Contains([]idlepush.State{idlepush.StateWatching, idlepush.StatePolling}, a.Status.State) && a.Status.Code == "":
		return idlepush.VerdictOK
	}
	return idlepush.VerdictLook
}

// stateOf returns the state of an account in words. They have neither the name of a folder nor what
// the mail server said.
func stateOf(a idlepush.Account, asOf string, now time.Time) string {
	text := string(a.Status.State)
	switch {
	case a.Damaged():
		return damagedRow
	case !a.Enabled:
		text = "paused"
	}
	if !a.Status.Since.IsZero() {
		text += " for " + age(now.Sub(a.Status.Since))
	}
	text += asOf
	if a.Status.Code == "" {
		return text
	}
	params := make(map[string]string)
	for name, value := range a.Status.Params {
		switch name {
		case "said", "account":
		case "folder":
			params[name] = "…"
		default:
			params[name] = value
		}
	}
	return text + ": " + allCodes().Sentence(a.Status.Code, params)
}

// age returns a time in its largest unit.
func age(d time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"days", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}} {
		if d >= unit.of {
			return strconv.Itoa(int(d/unit.of)) + " " + unit.name
		}
	}
	return "less than a minute"
}

// devices tells which devices ring, and why the others do not.
func (x installation) devices(context.Context) findings {
	f := findings{subject: "devices"}
	if x.store == nil {
		return f
	}
	list, err := x.store.Devices.List("")
	var lanes []registry.Lane
	if err == nil {
		lanes, err = x.store.Devices.Lanes()
	}
	if err != nil {
		f.wrong("they cannot be read: %v", err)
		return f
	}
	if len(list) == 0 {
		f.look("there is none yet, so nothing rings: open the page on a phone, and let it ring there")
		return f
	}
	var silent []finding
	for _, d := range list {
		if v, why := ringing(d, lanes, time.Now()); v != idlepush.VerdictOK {
			silent = append(silent, finding{v, f.subject, shortDevice(d) + ": " + why, 0})
		}
	}
	f.ok("%d of %d ring%s", len(list)-len(silent), len(list), x.asOf())
	f.list = append(f.list, silent...)
	return f
}

// asOf says of when a state is, if it is not that of now.
func (x installation) asOf() string {
	if x.identity == nil {
		return " when idlepush last ran"
	}
	return ""
}

// shortDevice names a device so that its owner and the admin know it, and nobody else its owner.
// The log has the id.
func shortDevice(d idlepush.Device) string {
	first := ""
	for _, r := range d.Name {
		first = string(r)
		break
	}
	return fmt.Sprintf("%s… (%s, id %s)", first, d.Transport, d.ID)
}

// ringing says whether a push reaches a device, as far as the last ones show, or why not.
func ringing(d idlepush.Device, lanes []registry.Lane, now time.Time) (v idlepush.Verdict, why string) {
	reason, st := d.Status.Reason, d.Status
	for _, l := range lanes {
		if l.Name == d.Lane && l.IsPaused() {
			reason, st.Since = l.Reason, l.Since
		}
	}
	switch {
	case st.State == idlepush.StateSuspect:
		v, why = idlepush.VerdictWrong, "does not ring, and has been tried rarely for "+age(now.Sub(st.Since))
	case reason.Code != "":
		v, why = idlepush.VerdictLook, "does not ring now"
	case st.State != idlepush.StateProven:
		v, why = idlepush.VerdictLook, "no push has reached it yet"
	default:
		return idlepush.VerdictOK, ""
	}
	if !d.Due.IsZero() {
		why += ", and something waits for it"
	}
	if reason.Code != "" {
		why += ": " + allCodes().Sentence(reason.Code, reason.Params)
	}
	return v, why
}

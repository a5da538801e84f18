package web

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

// deviceWishes are the wishes of one device: when it is quiet, and what does not notify it.
type deviceWishes struct {
	Revision  uint64              `json:"revision" doc:"Changes with every edit; 0: there was none. A change names the one that it has seen"`
	Quiet     *quiet              `json:"quiet,omitempty" doc:"Its quiet hours; absent: none"`
	Folders   map[string][]string `json:"folders" required:"false" maxProperties:"200" doc:"By the id of a mailbox, the folders whose mail notifies it; of a mailbox that is absent all do"`
	Heartbeat *heartbeat          `json:"heartbeat,omitempty"`
}

// heartbeat is when a device shows one: that all works.
type heartbeat struct {
	Every string `json:"every" enum:"day,week" doc:"week: on Mondays"`
	At    string `json:"at" maxLength:"20" doc:"Time of day in the zone, from 00:00 to 23:59"`
	Zone  string `json:"zone" minLength:"1" maxLength:"64" doc:"Time zone of the device: an IANA name, such as Europe/Berlin"`
}

// quiet are the quiet hours of a device.
type quiet struct {
	Zone      string  `json:"zone" minLength:"1" maxLength:"64" doc:"Time zone of the device: an IANA name, such as Europe/Berlin"`
	Hours     []hours `json:"hours" maxItems:"50" doc:"Each week"`
	Mode      string  `json:"mode" enum:"hold,silent" doc:"hold: mail waits until the quiet hours end, then one summary counts what is still unread; silent: mail is shown without a sound"`
	People    bool    `json:"people" required:"false" doc:"Whether the mail of people, and what a rule has ring loudly, comes through"`
	Attention bool    `json:"attention" required:"false" doc:"Whether notifications come through that say what only a person can do"`
}

// hours are quiet hours that begin on some days of the week.
type hours struct {
	Days []string `json:"days" minItems:"1" maxItems:"7" enum:"mon,tue,wed,thu,fri,sat,sun" doc:"On which they begin"`
	From string   `json:"from" maxLength:"20" doc:"Time of day in the zone, from 00:00 to 23:59"`
	To   string   `json:"to" maxLength:"20" doc:"The same. If it is not after from, they end on the next day; the same as from: after a whole day"`
}

// weekdays are the days of hours, in the order of time.Weekday.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (h *wishHandlers) getDeviceWishes(_ context.Context, c caller, in *byID) (*body[deviceWishes], error) {
	_, w, seen, err := h.wishesOn(c, in.ID)
	return &body[deviceWishes]{deviceWishesOf(w, seen)}, err
}

// putDeviceWishes replaces all wishes of a device.
func (h *wishHandlers) putDeviceWishes(_ context.Context, c caller, in *edit[deviceWishes]) (*body[deviceWishes], error) {
	d, old, seen, err := h.wishesOn(c, in.ID)
	if err != nil {
		return nil, err
	}
	w, f := in.Body.wishes()
	if err := append(f, unknownFolders(w.Folders, old.Folders, seen)...).err(); err != nil {
		return nil, err
	}
	w, err = h.devices.devices.SetWishes(d.ID, w, time.Now())
	return &body[deviceWishes]{deviceWishesOf(w, seen)}, err
}

// wishesOn returns a device of the caller, its wishes, and the mailboxes that its user sees, by id.
func (h *wishHandlers) wishesOn(c caller, id string) (d idlepush.Device, w ring.DeviceWishes, seen map[string]idlepush.Account, err error) {
	if d, err = h.devices.ownDevice(c, id); err != nil {
		return d, w, nil, err
	}
	if w, err = h.devices.devices.Wishes(d.ID); err != nil {
		return d, w, nil, err
	}
	accounts, err := h.accounts.accounts.List()
	seen = make(map[string]idlepush.Account)
	for _, a := range accounts {
		if a.Visible(d.User) {
			seen[a.ID] = a
		}
	}
	return d, w, seen, err
}

// unknownFolders returns the faults of mailboxes that the user does not see, and of folders that
// are neither watched nor chosen already.
func unknownFolders(folders, before map[string][]string, seen map[string]idlepush.Account) (f faults) {
	for _, id := range slices.Sorted(maps.Keys(folders)) {
		a, ok := seen[id]
		if !ok {
			f.add(fault("folders", "field_unknown_account"))
			continue
		}
		for i, folder := range folders[id] {
			f = append(f, folderFaults(indexed("folders."+id, i), folder, slices.Concat(a.Folders, before[id]))...)
		}
	}
	return f
}

// deviceWishesOf returns the wishes for an answer, without the folders of mailboxes that the user
// no longer sees.
func deviceWishesOf(w ring.DeviceWishes, seen map[string]idlepush.Account) deviceWishes {
	out := deviceWishes{Revision: w.Revision, Folders: map[string][]string{}}
	for id, folders := range w.Folders {
		if _, ok := seen[id]; ok {
			out.Folders[id] = folders
		}
	}
	if w.Quiet.Zone != "" {
		out.Quiet = quietOf(w.Quiet)
	}
	if w.Heartbeat.Every != "" {
		out.Heartbeat = &heartbeat{string(w.Heartbeat.Every), clock(w.Heartbeat.At), w.Heartbeat.Zone}
	}
	return out
}

// wishes returns the wishes of the request and its faults. unknownFolders finds more of them.
func (in deviceWishes) wishes() (w ring.DeviceWishes, f faults) {
	w = ring.DeviceWishes{Revision: in.Revision}
	if in.Quiet != nil {
		w.Quiet, f = in.Quiet.quiet("quiet")
	}
	if in.Heartbeat != nil {
		w.Heartbeat = ring.Heartbeat{Every: ring.Every(in.Heartbeat.Every), At: minutesOf(in.Heartbeat.At), Zone: in.Heartbeat.Zone}
		if w.Heartbeat.At < 0 {
			f.add(fault("heartbeat.at", "field_bad_clock"))
		}
		if !isZone(in.Heartbeat.Zone) {
			f.add(fault("heartbeat.zone", "field_bad_zone"))
		}
	}
	for id, folders := range in.Folders {
		if len(folders) == 0 {
			f.add(fault("folders", "field_empty"))
		}
		if w.Folders == nil {
			w.Folders = make(map[string][]string)
		}
		w.Folders[id] = normalizeFolders(folders)
	}
	return w, f
}

func quietOf(q ring.Quiet) *quiet {
	out := quiet{q.Zone, []hours{}, string(q.Mode), q.People, q.Attention}
	for _, at := range q.Hours {
		h := hours{From: clock(at.From), To: clock(at.To)}
		for _, day := range at.Days {
			h.Days = append(h.Days, weekdays[day])
		}
		out.Hours = append(out.Hours, h)
	}
	return &out
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// quiet returns the quiet hours, which are in the field at, and their faults.
func (q quiet) quiet(at string) (out ring.Quiet, f faults) {
	out = ring.Quiet{Zone: q.Zone, Mode: ring.QuietMode(q.Mode), People: q.People, Attention: q.Attention}
	if !isZone(q.Zone) {
		f.add(fault(at+".zone", "field_bad_zone"))
	}
	for i, in := range q.Hours {
		field := indexed(at+".hours", i)
		h := ring.Hours{From: minutesOf(in.From), To: minutesOf(in.To)}
		for day, name := range weekdays {
			if slices.Contains(in.Days, name) {
				h.Days = append(h.Days, time.Weekday(day))
			}
		}
		if h.From < 0 {
			f.add(fault(field+".from", "field_bad_clock"))
		}
		if h.To < 0 {
			f.add(fault(field+".to", "field_bad_clock"))
		}
		out.Hours = append(out.Hours, h)
	}
	if out.Mode == ring.QuietHold && f == nil && longest(out.Hours) > maxHold*60 {
		tooLong := fault(at+".hours", "field_quiet_too_long").with("limit", strconv.Itoa(maxHold))
		if slices.ContainsFunc(out.Hours, func(h ring.Hours) bool { return h.From == h.To }) {
			tooLong = tooLong.with(codes.Case, caseWholeDays)
		}
		f.add(tooLong)
	}
	return out, f
}

// caseWholeDays is for quiet hours that last too long, of which some end when they begin.
const caseWholeDays = "whole_days"

// maxHold bounds for how many hours without a break mail may wait. Mail expires after three days,
// and its phone may need some of them.
const maxHold = 64

// longest returns how many minutes quiet hours last without a break, at most a week.
func longest(list []ring.Hours) (most int) {
	const day, week = 24 * 60, 7 * 24 * 60
	var quiet [week]bool
	for _, h := range list {
		length := h.To - h.From
		if length <= 0 {
			length += day
		}
		for _, on := range h.Days {
			for m := range length {
				quiet[(int(on)*day+h.From+m)%week] = true
			}
		}
	}
	lasts := 0
	for m := range 2 * week {
		lasts++
		if !quiet[m%week] {
			lasts = 0
		}
		most = max(most, lasts)
	}
	return min(most, week)
}

// zoneForm is that of all IANA names. Other files of a zone database begin with a small letter.
var zoneForm = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// isZone reports whether the name is that of a time zone which is the same on every machine.
func isZone(name string) bool {
	if !zoneForm.MatchString(name) || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// minutesOf returns the minutes since midnight of a time of day, or -1 if the text is no such time.
func minutesOf(text string) int {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return -1
	}
	return 60*t.Hour() + t.Minute()
}

package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

// trial has wishes to try instead of the stored ones.
type trial struct {
	People    []string         `json:"people,omitempty" maxItems:"200" minLength:"1" maxLength:"254" doc:"As in the wishes of the account; absent: as they are"`
	Rules     []rule           `json:"rules,omitempty" maxItems:"50" doc:"As in the wishes of the account; absent: as they are"`
	Otherwise *action          `json:"otherwise,omitempty" doc:"As in the wishes of the account; absent: as it is"`
	Quiet     map[string]quiet `json:"quiet,omitempty" maxProperties:"50" doc:"Quiet hours by the id of a device; of a device that is absent, as they are"`
}

// triedWeek says how the mail of the last days would have rung.
type triedWeek struct {
	Since   time.Time     `json:"since" doc:"Since when all mail was looked at"`
	Mails   []triedMail   `json:"mails" doc:"Newest first; at most 200"`
	Devices []triedDevice `json:"devices" doc:"Own devices that the mailbox notifies"`
}

// triedDevice says how often a device would have rung.
type triedDevice struct {
	Device string `json:"device" doc:"Device id"`
	Name   string `json:"name"`
	Before int    `json:"before" doc:"How often it would have rung by the wishes as they are, summaries included"`
	After  int    `json:"after" doc:"The same by the trial"`
}

// triedMail is one mail, and how it would have rung.
type triedMail struct {
	At      time.Time         `json:"at" doc:"When it was found, or, of mail that is not recorded, when the server received it"`
	Folder  string            `json:"folder"`
	From    string            `json:"from,omitempty" doc:"Name of the sender, or the address"`
	Sender  string            `json:"sender,omitempty" doc:"Address of the sender"`
	Subject string            `json:"subject,omitempty"`
	Code    codes.Code        `json:"code,omitempty" doc:"Why it notifies nobody, for programs; absent: it does"`
	Params  map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Text    string            `json:"text,omitempty" doc:"Why it notifies nobody, for people"`
	Devices []triedDecisions  `json:"devices" doc:"How it would have rung; none if it notifies nobody"`
}

// triedDecisions says how a mail would have rung on a device.
type triedDecisions struct {
	Device string   `json:"device" doc:"Device id"`
	Before decision `json:"before" doc:"By the wishes as they are"`
	After  decision `json:"after" doc:"By the trial"`
}

// replayed says how the mails would have rung on a device, in their order.
type replayed struct {
	device        idlepush.Device
	before, after ring.Replay
}

// tryRules shows how the mail of the last days would have rung on the devices of the person. It
// stores nothing.
func (h *wishHandlers) tryRules(ctx context.Context, c caller, in *edit[trial]) (*body[triedWeek], error) {
	a, err := h.accounts.visibleAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	before, err := h.accounts.accounts.Wishes(c.user.ID, a.ID)
	if err != nil {
		return nil, err
	}
	after, f := in.Body.apply(before, foldersOf(a.Folders, before))
	devices, err := h.notified(c, a.ID)
	if err != nil {
		return nil, err
	}
	quiet, wrong := in.Body.quietByDevice(devices)
	if err := slices.Concat(f, wrong).err(); err != nil {
		return nil, err
	}
	if err := h.limits.allowTrial(c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	now := time.Now()
	mails, since, err := h.recent(ctx, c, a, now)
	if err != nil {
		return nil, err
	}
	var all []replayed
	for _, d := range devices {
		w, err := h.devices.devices.Wishes(d.ID)
		if err != nil {
			return nil, err
		}
		r := replayed{device: d, before: h.replay(mails, d, a.ID, before, w, now)}
		if q, given := quiet[d.ID]; given {
			w.Quiet = q
		}
		r.after = h.replay(mails, d, a.ID, after, w, now)
		all = append(all, r)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, problem(http.StatusUnprocessableEntity, "trial_too_long")
		}
	}
	return &body[triedWeek]{h.tried(mails, all, since)}, nil
}

// apply returns the wishes as they would be, and the faults of the trial. folders are those that
// rules can name.
func (t trial) apply(w ring.Wishes, folders []string) (ring.Wishes, faults) {
	people, f := peopleOf(t.People)
	if t.People != nil {
		w.People = people
	}
	rules, wrong := rulesOf(t.Rules, folders)
	if t.Rules != nil {
		w.Rules = rules
	}
	if t.Otherwise != nil {
		w.Otherwise = t.Otherwise.action()
	}
	return w, append(f, wrong...)
}

// quietByDevice returns the quiet hours of the trial by the id of the device, and their faults.
func (t trial) quietByDevice(devices []idlepush.Device) (quiet map[string]ring.Quiet, f faults) {
	quiet = make(map[string]ring.Quiet)
	for _, d := range devices {
		if q, given := t.Quiet[d.ID]; given {
			var wrong faults
			quiet[d.ID], wrong = q.quiet("quiet." + d.ID)
			f = append(f, wrong...)
		}
	}
	if len(quiet) < len(t.Quiet) {
		f.add(fault("quiet", "field_unknown_device"))
	}
	return quiet, f
}

// notified returns the caller's devices that the account notifies.
func (h *wishHandlers) notified(c caller, account string) ([]idlepush.Device, error) {
	devices, err := devicesOf(h.devices.devices, c)
	return slices.DeleteFunc(devices, func(d idlepush.Device) bool {
		return d.Accounts != nil && !slices.Contains(d.Accounts, account)
	}), err
}

// recent returns the newest mails of the last days that the caller may see, oldest first. None that
// came after since is left out.
func (h *wishHandlers) recent(ctx context.Context, c caller, a idlepush.Account, now time.Time) (mails []ring.Mail, since time.Time, err error) {
	if a.Damaged() {
		return nil, since, problem(http.StatusConflict, "account_damaged")
	}
	since = now.Add(-ring.RecentAge)
	if shared, err := h.accounts.accounts.SeenSince(c.user.ID, a.ID); err != nil {
		return nil, since, err
	} else if shared.After(since) {
		since = shared
	}
	if mails, err = h.accounts.mail.Recent(ctx, a); err != nil {
		return nil, since, h.accounts.loginProblem(err)
	}
	mails = slices.DeleteFunc(mails, func(m ring.Mail) bool { return m.At.Before(since) })
	if len(mails) >= ring.MaxRecent {
		mails = mails[len(mails)-ring.MaxRecent:]
		since = mails[0].At
	}
	return mails, since, nil
}

// tried returns the answer, newest mail first. It shows no more of a mail than a device of the
// person may show.
func (h *wishHandlers) tried(mails []ring.Mail, all []replayed, since time.Time) triedWeek {
	out := triedWeek{since.UTC(), []triedMail{}, []triedDevice{}}
	subjects := len(all) == 0
	for _, r := range all {
		out.Devices = append(out.Devices, triedDevice{r.device.ID, r.device.Name, r.before.Rings, r.after.Rings})
		subjects = subjects || r.device.Content != idlepush.LevelSender
	}
	for i, m := range slices.Backward(mails) {
		t := triedMail{At: m.At.UTC(), Folder: m.Folder, From: cmp.Or(m.Facts.Name, m.Facts.From), Sender: m.Facts.From,
			Code: m.Code, Params: m.Params, Text: h.accounts.codes.Sentence(m.Code, m.Params), Devices: []triedDecisions{}}
		if subjects {
			t.Subject = m.Facts.Subject
		}
		for _, r := range all {
			if m.Code == "" {
				t.Devices = append(t.Devices, triedDecisions{r.device.ID, h.triedDecision(r.before, i), h.triedDecision(r.after, i)})
			}
		}
		out.Mails = append(out.Mails, t)
	}
	return out
}

func (h *wishHandlers) triedDecision(r ring.Replay, i int) decision {
	d := decisionOf(h.accounts.codes, r.Decisions[i])
	d.Summed = r.Summed[i]
	return d
}

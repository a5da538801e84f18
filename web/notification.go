package web

import (
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

// Notification is one notification with its deliveries to the devices of the user who asks.
type Notification struct {
	ID      string    `json:"id" doc:"Stable: the id of the push"`
	Kind    string    `json:"kind" enum:"mail,summary,clear,attention,heartbeat"`
	Account string    `json:"account,omitempty" doc:"Account id; absent: it concerns no account"`
	Folder  string    `json:"folder,omitempty"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires" doc:"When it is no longer delivered"`
	MailDetails
	Code       codes.Code        `json:"code,omitempty" doc:"attention: what it is about, for programs; mail: why it did not ring; absent: it rang; summary: old if it counts old mail, excess if it counts those beyond the mails that are kept of a day"`
	Params     map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Text       string            `json:"text,omitempty" doc:"attention: what happened and what to do; mail: why it did not ring; summary: why it came instead of its mails"`
	Count      int               `json:"count,omitempty" doc:"summary: number of mails"`
	Mails      []string          `json:"mails,omitempty" doc:"GET /notifications/{id} of a summary: the ids of mails that it counts, newest first; at most 200"`
	Clear      []string          `json:"clear,omitempty" doc:"clear: ids to remove, of mail that was read or removed elsewhere"`
	Deliveries []Delivery        `json:"deliveries" doc:"One per device of the user"`
}

// MailDetails are the fields of a notification that describe its mail.
type MailDetails struct {
	From    string    `json:"from,omitempty" doc:"Sender of the mail"`
	Sender  string    `json:"sender,omitempty" doc:"The address of the sender; absent: the mail does not name it"`
	List    string    `json:"list,omitempty" doc:"The id of its mailing list (List-Id)"`
	Subject string    `json:"subject,omitempty"`
	Message string    `json:"message_id,omitempty" doc:"Its Message-ID, without angle brackets"`
	Preview string    `json:"preview,omitempty" doc:"The first words"`
	OneTime string    `json:"one_time_code,omitempty" doc:"A code that the mail brings, to log in somewhere: 4 to 8 digits, or letters and digits"`
	Link    string    `json:"link,omitempty" doc:"mail: where to read it, by the template of its account. If another user owns the account, that user chose it: show its host before it is opened"`
	Cleared time.Time `json:"cleared,omitzero" doc:"mail: when it was found to be read or removed elsewhere; absent: not yet"`
	Mutes   []string  `json:"mutes,omitempty" enum:"sender,conversation,mailbox" doc:"mail and summary: what of it can be muted, with POST /accounts/{id}/mutes"`
	Muted   []string  `json:"muted,omitempty" doc:"GET /notifications/{id} of a mail or summary: the ids of the mutes of its mailbox that are of it"`
	Rule    int       `json:"rule,omitempty" doc:"GET /notifications/{id} of a mail: the number of the rule of its mailbox that decides about it, as the rules are now; absent: none does"`
}

// Delivery is the state of a notification on one device.
type Delivery struct {
	Device   string            `json:"device" doc:"Device id"`
	Name     string            `json:"name" doc:"The device's name"`
	State    string            `json:"state" enum:"pending,delivered,cleared,combined,expired,refused,removed,skipped" doc:"skipped: it is not to ring on the device, see decision; combined: it is part of the summary into; pending: not delivered yet, or delivered without sender and subject, which follow"`
	At       time.Time         `json:"at,omitzero" doc:"When it reached this state, or of the last try while pending; absent: not tried yet"`
	Until    time.Time         `json:"until,omitzero" doc:"pending: it is held back until then, see decision; absent: it is not"`
	Into     string            `json:"into,omitempty" doc:"combined: the stable id of the summary"`
	Attempts int               `json:"attempts"`
	Code     codes.Code        `json:"code,omitempty" doc:"Of the last try that was no success, for programs"`
	Params   map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Reason   string            `json:"reason,omitempty" doc:"The same, for people"`
	Received time.Time         `json:"received,omitzero" doc:"When the device received it, as it has reported; absent: it has not"`
	Shown    time.Time         `json:"shown,omitzero" doc:"When the device has shown it, likewise"`
	Opened   time.Time         `json:"opened,omitzero" doc:"When a person has opened it there, likewise"`
	Decision *decision         `json:"decision,omitempty" doc:"How it rings on the device, as it was decided last; absent: nothing asks for anything else than to ring, or that was not decided yet"`
}

// decision says how a notification rings on a device, and why.
type decision struct {
	Verdict  string            `json:"verdict" enum:"now,held,silent,not" doc:"now: it rings; held: it waits; silent: it is shown without a sound; not: it is not shown"`
	Until    time.Time         `json:"until,omitzero" doc:"held: when it is decided again; otherwise when the quiet hours or the mute end that decided; absent: they do not"`
	Summed   bool              `json:"summed,omitempty" doc:"POST /accounts/{id}/rules/try: a summary counts it instead"`
	Code     codes.Code        `json:"code,omitempty" doc:"What decided that, for programs; absent: nothing asks for anything else than to ring"`
	Params   map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Text     string            `json:"text,omitempty" doc:"What decided that, for people"`
	Outdated bool              `json:"outdated,omitempty" doc:"The rules, the people who matter, the folders, the mute or the quiet hours that decided were changed or taken back since"`
	Waited   *waited           `json:"waited,omitempty" doc:"What held it back before; absent: nothing did"`
}

// waited is for how long something held a notification back.
type waited struct {
	Code  codes.Code `json:"code" doc:"quiet_hours: the quiet hours of the device; burst: much mail came at once"`
	Since time.Time  `json:"since"`
	Until time.Time  `json:"until" doc:"When that ended"`
}

func decisionOf(t codes.Table, d ring.Decision) decision {
	out := decision{Verdict: string(d.Verdict), Until: utc(d.Until), Code: d.Code, Params: d.Params, Text: t.Sentence(d.Code, d.Params)}
	if d.Waited != nil {
		out.Waited = &waited{d.Waited.Code, d.Waited.Since.UTC(), d.Waited.Until.UTC()}
	}
	return out
}

// historyView holds what the notifications of a user are shown with.
type historyView struct {
	devices  map[string]idlepush.Device  // that the caller may see, by id
	only     bool                        // the caller sees no more than one device does
	accounts map[string]idlepush.Account // by id
	codes    codes.Table
}

// notificationHandlers serves the history of notifications.
type notificationHandlers struct {
	accounts registry.Accounts
	devices  registry.Devices
	history  registry.History
	codes    codes.Table
	replay   func([]ring.Mail, idlepush.Device, string, ring.Wishes, ring.DeviceWishes, time.Time) ring.Replay
}

func (h *notificationHandlers) historyView(c caller) (v historyView, err error) {
	v = historyView{make(map[string]idlepush.Device), c.scope == device, make(map[string]idlepush.Account), h.codes}
	devices, err := devicesOf(h.devices, c)
	if err != nil {
		return v, err
	}
	for _, d := range devices {
		v.devices[d.ID] = d
	}
	accounts, err := h.accounts.List()
	for _, a := range accounts {
		v.accounts[a.ID] = a
	}
	return v, err
}

// seen returns what the caller may see of a notification, and whether that is anything. A token of
// device scope sees what its device got, at the content level of the device and of the rule that
// decided. It does so as long as the mailbox is to notify the device.
func (v historyView) seen(n idlepush.Notification) (idlepush.Notification, bool) {
	if !v.only {
		return n, true
	}
	for _, d := range v.devices {
		i := slices.IndexFunc(n.Deliveries, func(to idlepush.Delivery) bool {
			return to.Device == d.ID && to.State != idlepush.DeliverySkipped
		})
		if i < 0 {
			return n, false
		}
		level := d.Content
		if level == idlepush.LevelWake {
			level = idlepush.LevelSubject // what it is to fetch
		}
		if most := idlepush.Level(n.Deliveries[i].Decision.Content); level.Allows(most) {
			level = most
		}
		n.Content = n.Content.At(level)
		return n, n.Account == "" || d.Accounts == nil || slices.Contains(d.Accounts, n.Account)
	}
	return n, false
}

// notification returns a notification with the deliveries to the user's own devices. A shared
// account also notifies devices of others.
func (v historyView) notification(n idlepush.Notification) Notification {
	out := Notification{ID: n.ID, Kind: string(n.Kind), Account: n.Account, Folder: n.Folder, At: n.At.UTC(), Expires: n.Expires.UTC(),
		Code: n.Code, Params: n.Params, Text: v.codes.Sentence(n.Code, n.Params), Count: n.Count, Mails: n.Mails, Clear: n.Clear, Deliveries: []Delivery{},
		MailDetails: MailDetails{From: n.Content.From, Mutes: mutesOf(n), Subject: n.Content.Subject, Message: n.Content.MessageID, Preview: n.Content.Preview, OneTime: n.Content.OneTimeCode,
			Link: v.accounts[n.Account].LinkTo(n), Cleared: utc(n.Cleared)}}
	if n.Content.From != "" {
		out.Sender = n.Facts.From
	}
	if n.Content.Subject != "" || n.Content.MessageID != "" {
		out.List = n.Facts.List
	}
	for _, d := range n.Deliveries {
		if device, own := v.devices[d.Device]; own {
			one := Delivery{Device: d.Device, Name: device.Name, State: string(d.State), At: utc(d.At), Until: utc(d.HeldUntil), Into: d.Into, Attempts: d.Attempts, Code: d.Code, Params: d.Params, Reason: v.codes.Sentence(d.Code, d.Params),
				Received: utc(d.Receipt.Received), Shown: utc(d.Receipt.Shown), Opened: utc(d.Receipt.Opened)}
			if d.Decision.Verdict != "" {
				one.Decision = new(decisionOf(v.codes, d.Decision))
				one.Decision.Outdated = d.Outdated
			}
			out.Deliveries = append(out.Deliveries, one)
		}
	}
	return out
}

// notificationsOf is the input of the list of notifications: a pageOf, or ids. (Huma knows no
// embedded type that is not exported.)
type notificationsOf struct {
	Limit int      `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"Maximum number of items"`
	After string   `query:"after" doc:"next of an earlier answer"`
	IDs   []string `query:"ids" maxItems:"100" doc:"Stable ids, with commas: only these, in this order and all at once; those that are gone are left out"`
}

func (h *notificationHandlers) listNotifications(_ context.Context, c caller, in *notificationsOf) (*body[List[Notification]], error) {
	view, err := h.historyView(c)
	if err != nil {
		return nil, err
	}
	found, next, err := h.find(c, *in, time.Now())
	if err != nil {
		return nil, err
	}
	list := List[Notification]{Items: []Notification{}, Next: next}
	for _, n := range found {
		if n, visible := view.seen(n); visible {
			list.Items = append(list.Items, view.notification(n))
		}
	}
	return &body[List[Notification]]{list}, nil
}

// find returns the requested notifications, and the cursor of the next page.
func (h *notificationHandlers) find(c caller, in notificationsOf, now time.Time) (found []idlepush.Notification, next string, err error) {
	if len(in.IDs) > 0 {
		found, err = h.history.Some(c.user.ID, in.IDs, now)
		return found, "", err
	}
	found, next, err = h.history.List(c.user.ID, in.After, in.Limit, now)
	if errors.Is(err, registry.ErrNotFound) {
		err = errAfter
	}
	return found, next, err
}

func (h *notificationHandlers) getNotification(_ context.Context, c caller, in *byID) (*body[Notification], error) {
	view, err := h.historyView(c)
	if err != nil {
		return nil, err
	}
	n, err := h.get(c, view, in.ID)
	if err != nil {
		return nil, err
	}
	out := view.notification(n)
	if n.Account != "" && n.Kind.IsOfMail() {
		err = h.addWishes(&out, n, c.user.ID, time.Now())
	}
	return &body[Notification]{out}, err
}

// addWishes adds which wishes of the user for its account are about the notification.
func (h *notificationHandlers) addWishes(out *Notification, n idlepush.Notification, user string, now time.Time) error {
	w, err := h.accounts.Wishes(user, n.Account)
	if err != nil {
		return err
	}
	by := func(only ring.Wishes, device string) ring.Decision {
		return h.replay([]ring.Mail{{Folder: n.Folder, At: now, Facts: n.Facts}}, idlepush.Device{ID: device}, n.Account, only, ring.DeviceWishes{}, now).Decisions[0]
	}
	for _, m := range w.Mutes {
		if by(ring.Wishes{Mutes: []ring.Mute{m}}, m.Device).Verdict == ring.Not {
			out.Muted = append(out.Muted, m.ID)
		}
	}
	if n.Kind == idlepush.KindMail {
		out.Rule, _ = strconv.Atoi(by(ring.Wishes{Rules: w.Rules}, "").Params["rule"])
	}
	return nil
}

// get returns what the caller, whose view it is, may see of a notification. It returns
// registry.ErrNotFound if that is nothing.
func (h *notificationHandlers) get(c caller, view historyView, id string) (idlepush.Notification, error) {
	n, err := h.history.Get(c.user.ID, id, time.Now())
	if err != nil {
		return n, err
	}
	n, visible := view.seen(n)
	if !visible {
		err = registry.ErrNotFound
	}
	return n, err
}

// seenMail returns what the caller may see of a mail of the account. It returns
// registry.ErrNotFound if that is nothing.
func (h *notificationHandlers) seenMail(c caller, account, id string) (idlepush.Notification, error) {
	view, err := h.historyView(c)
	if err != nil {
		return idlepush.Notification{}, err
	}
	n, err := h.get(c, view, id)
	if err == nil && (n.Kind != idlepush.KindMail || n.Account != account) {
		err = registry.ErrNotFound
	}
	return n, err
}

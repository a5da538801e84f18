package web

import (
	"cmp"
	"context"
	"time"

	"idlepush"
	"idlepush/ring"
)

// Wishes are what one person wishes of one mailbox.
type Wishes struct {
	Revision  uint64   `json:"revision" doc:"Changes with every edit; 0: there was none. A change names the one that it has seen"`
	Name      string   `json:"name,omitempty" maxLength:"100" doc:"Of the mailbox in titles; absent: its address"`
	Color     string   `json:"color,omitempty" maxLength:"7" doc:"Of the mailbox, such as #1a73e8; absent: none"`
	Sound     string   `json:"sound,omitempty" maxLength:"64" doc:"Name of a sound that the app has, such as chime.caf; none: no sound; absent: that of the device"`
	People    []string `json:"people" required:"false" maxItems:"200" minLength:"1" maxLength:"254" doc:"Whose mail breaks through quiet hours and bursts: addresses, and domains such as @example.org; of Name <address> the address is kept"`
	Rules     []rule   `json:"rules" required:"false" maxItems:"50" doc:"The first that matches a mail decides how it rings"`
	Otherwise *action  `json:"otherwise" required:"false" doc:"What is done with mail that no rule matches; absent: it rings"`
}

// mutedWishes are Wishes with the mutes, which have requests of their own.
type mutedWishes struct {
	Wishes
	Mutes []mute `json:"mutes" doc:"Those that have not ended"`
}

// rule has conditions, and the action for mail that meets them.
type rule struct {
	If   match  `json:"if" doc:"All that is given must hold; at least one"`
	Then action `json:"then"`
}

// match says which mails a rule matches. Case and accents of texts do not matter.
type match struct {
	From       []string `json:"from,omitempty" minItems:"1" maxItems:"50" minLength:"1" maxLength:"200" doc:"The sender: an address, a domain such as @example.org, or a part of the name; of several, one"`
	To         []string `json:"to,omitempty" minItems:"1" maxItems:"50" minLength:"1" maxLength:"200" doc:"The same of those in To and Cc"`
	Subject    []string `json:"subject,omitempty" minItems:"1" maxItems:"50" minLength:"1" maxLength:"200" doc:"A part of the subject; of several, one"`
	Folder     []string `json:"folder,omitempty" minItems:"1" maxItems:"50" minLength:"1" maxLength:"255" doc:"A folder that the mailbox watches; of several, one"`
	List       []string `json:"list,omitempty" minItems:"1" maxItems:"50" minLength:"1" maxLength:"200" doc:"A part of the id of the mailing list (List-Id); of several, one"`
	Words      []string `json:"words,omitempty" minItems:"1" maxItems:"50" minLength:"1" maxLength:"200" doc:"A part of the subject or the first words; of several, one"`
	Bulk       *bool    `json:"bulk,omitempty" doc:"Whether it was sent to many, or by a program"`
	Attachment *bool    `json:"attachment,omitempty" doc:"Whether it has an attachment"`
	Answer     *bool    `json:"answer,omitempty" doc:"Whether it answers, and is addressed to the mailbox"`
	First      *bool    `json:"first,omitempty" doc:"Whether it is the first from its sender"`
	Above      int64    `json:"above,omitempty" minimum:"1" maximum:"1000000000000" doc:"Larger than this, in bytes"`
	Below      int64    `json:"below,omitempty" minimum:"1" maximum:"1000000000000" doc:"Smaller than this, in bytes"`
}

// action says whether a mail rings, and how much of it is shown.
type action struct {
	Ring    string `json:"ring" enum:"ring,loud,silent,not" doc:"ring: as usual; loud: through quiet hours and bursts, and the quiet of the phone where it lets us; silent: shown without a sound; not: not shown"`
	Content string `json:"content,omitempty" enum:"wake,sender,subject,preview" doc:"The highest content level of its notification; absent: that of the device"`
}

// wishHandlers serves the wishes of people, and tries rules on past mail.
type wishHandlers struct {
	accounts      *accountHandlers
	devices       *deviceHandlers
	notifications *notificationHandlers
	limits        *limits
	replay        func([]ring.Mail, idlepush.Device, string, ring.Wishes, ring.DeviceWishes, time.Time) ring.Replay
}

func (h *wishHandlers) getWishes(_ context.Context, c caller, in *byID) (*body[mutedWishes], error) {
	if _, err := h.accounts.visibleAccount(c, in.ID); err != nil {
		return nil, err
	}
	w, err := h.accounts.accounts.Wishes(c.user.ID, in.ID)
	return &body[mutedWishes]{wishesOf(w, time.Now())}, err
}

// putWishes replaces all wishes but the mutes.
func (h *wishHandlers) putWishes(_ context.Context, c caller, in *edit[Wishes]) (*body[mutedWishes], error) {
	a, err := h.accounts.visibleAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	old, err := h.accounts.accounts.Wishes(c.user.ID, a.ID)
	if err != nil {
		return nil, err
	}
	w, f := in.Body.wishes(foldersOf(a.Folders, old))
	if err := f.err(); err != nil {
		return nil, err
	}
	now := time.Now()
	w, err = h.accounts.accounts.SetWishes(c.user.ID, a.ID, w, now)
	return &body[mutedWishes]{wishesOf(w, now)}, err
}

// foldersOf returns the folders that a rule can name: those that the mailbox watches, and those
// that rules name already. Without the latter, no rule could be changed once a folder is not
// watched.
func foldersOf(watched []string, w ring.Wishes) []string {
	folders := append([]string{}, watched...)
	for _, r := range w.Rules {
		folders = append(folders, r.If.Folder...)
	}
	return folders
}

// wishesOf returns the wishes for an answer, without the mutes that have ended.
func wishesOf(w ring.Wishes, now time.Time) mutedWishes {
	otherwise := actionOf(w.Otherwise)
	out := mutedWishes{Wishes{w.Revision, w.Name, w.Color, w.Sound, append([]string{}, w.People...), []rule{}, &otherwise}, []mute{}}
	for _, r := range w.Rules {
		out.Rules = append(out.Rules, rule{match(r.If), actionOf(r.Then)})
	}
	for _, m := range w.Mutes {
		if m.Until.IsZero() || m.Until.After(now) {
			out.Mutes = append(out.Mutes, muteOf(m))
		}
	}
	return out
}

func actionOf(a ring.Action) action {
	return action{string(cmp.Or(a.Ring, ring.VolumeNormal)), a.Content}
}

// action returns the action, which rings if it is nil.
func (a *action) action() ring.Action {
	if a == nil {
		return ring.Action{}
	}
	return ring.Action{Ring: ring.Volume(a.Ring), Content: a.Content}
}

package webpush

import (
	"cmp"

	"idlepush/push"
)

const settingSubject = "vapid-subject"

// noContact says what the lack of a contact means.
const noContact = "iPhones, iPads and Safari get no Web Push, because Apple wants to know whom to contact: set vapid-subject or public-url " +
	"to an address on the internet"

// Service makes the two transports. They need no settings.
var Service = push.Service{
	Codes: Codes,
	Settings: []push.Setting{
		{Name: settingSubject, Meaning: "`contact` that Web Push services require, mailto: or https:; default: the public URL", Check: CheckSubject},
	},
	Missing: func(v push.Values, s push.Server) string {
		if CheckSubject(subject(v, s)) == nil {
			return ""
		}
		return noContact
	},
	New: func(v push.Values, s push.Server) (push.Transports, error) {
		return New(Config{VAPID: s.Key, Subject: func() string { return subject(v, s) }, Permit: s.Permit, Dial: s.Dial}).Transports(), nil
	},
}

// subject returns the contact by the settings. It may be empty or unusable.
func subject(v push.Values, s push.Server) string { return cmp.Or(v[settingSubject], s.Origin()) }

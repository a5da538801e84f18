package push_test

import (
	"strings"
	"testing"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

func TestClickURL(t *testing.T) {
	const home, link = "https://push.example.org/", "https://mail.example.org/x"
	id := pushtest.Planted(idlepush.KindMail).ID
	for name, row := range map[string]struct {
		kind             idlepush.Kind
		level            idlepush.Level
		home, link, want string
		shared           bool
	}{
		"by the template": {idlepush.KindMail, idlepush.LevelSubject, home, link, link, false},
		"to the page, which asks before it opens what another user chose": {idlepush.KindMail, idlepush.LevelSubject, home, link, home + "#/open/" + id, true},
		"to the page, if nobody chose a link":                             {idlepush.KindMail, idlepush.LevelSubject, home, "", home + "#/open/" + id, true},
		"to the page of what is shared where less may be known":           {idlepush.KindMail, idlepush.LevelSender, home, link, home + "#/open/" + id, true},
		"to the page without one":                                         {idlepush.KindMail, idlepush.LevelSubject, home, "", home + "#/open/" + id, false},
		"to the page where less may be known":                             {idlepush.KindMail, idlepush.LevelSender, home, link, home + "#/open/" + id, false},
		"to the page where nothing may":                                   {idlepush.KindMail, idlepush.LevelWake, home, link, home + "#/open/" + id, false},
		"to the page where it is too long":                                {idlepush.KindMail, idlepush.LevelSubject, home, link + strings.Repeat("x", 500), home + "#/open/" + id, false},
		"nowhere, for the page is not known":                              {idlepush.KindMail, idlepush.LevelSubject, "", link, "", false},
		"nowhere, for no host has such a name":                            {idlepush.KindMail, idlepush.LevelSubject, "https://" + strings.Repeat("h", 600) + "/", link, "", false},
		"to the page, if it is no mail":                                   {idlepush.KindSummary, idlepush.LevelSubject, home, "", home, false},
		"to what ends an attention":                                       {idlepush.KindAttention, idlepush.LevelSubject, home, "", home + "#/attention/family", false},
		"to what ends an attention, which may be told anywhere":           {idlepush.KindAttention, idlepush.LevelWake, home, "", home + "#/attention/family", false},
		"to what ends the attention of a shared mailbox":                  {idlepush.KindAttention, idlepush.LevelSubject, home, link, home + "#/attention/family", true},
	} {
		w := pushtest.Work(row.kind, idlepush.Device{Content: row.level})
		w.Account.Link = row.link
		if row.shared {
			w.Account.Owner = "another"
		}
		if m := push.Render(w, row.home, pushtest.Sentences); m.URL != row.want {
			t.Errorf("%s: %q, want %q", name, m.URL, row.want)
		}
	}
}

func TestClickOnShareEnded(t *testing.T) {
	const home = "https://push.example.org/"
	for level, want := range map[idlepush.Level]string{
		idlepush.LevelWake:    home,
		idlepush.LevelSender:  home + "#/add/" + pushtest.Planted(idlepush.KindAttention).ID,
		idlepush.LevelPreview: home + "#/add/" + pushtest.Planted(idlepush.KindAttention).ID,
	} {
		w := pushtest.Work(idlepush.KindAttention, idlepush.Device{Content: level})
		w.Notification.Account, w.Notification.Reason = "", idlepush.Reason{Code: registry.CodeShareEnded}
		if m := push.Render(w, home, pushtest.Sentences); m.URL != want {
			t.Errorf("at %s it leads to %q, want %q", level, m.URL, want)
		}
	}
}

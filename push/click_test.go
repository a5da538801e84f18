package push_test

import (
	"strings"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

func TestClickURL(t *testing.T) {
	const home, link = "https://push.example.org/", "https://mail.example.org/x"
	id := pushtest.Planted(registry.KindMail).ID
	for name, row := range map[string]struct {
		kind             registry.Kind
		level            registry.Level
		home, link, want string
	}{
		"by the template":                      {registry.KindMail, registry.LevelSubject, home, link, link},
		"to the page without one":              {registry.KindMail, registry.LevelSubject, home, "", home + "#/mail/" + id},
		"to the page where less may be known":  {registry.KindMail, registry.LevelSender, home, link, home + "#/mail/" + id},
		"to the page where nothing may":        {registry.KindMail, registry.LevelWake, home, link, home + "#/mail/" + id},
		"to the page where it is too long":     {registry.KindMail, registry.LevelSubject, home, link + strings.Repeat("x", 500), home + "#/mail/" + id},
		"nowhere, for the page is not known":   {registry.KindMail, registry.LevelSubject, "", link, ""},
		"nowhere, for no host has such a name": {registry.KindMail, registry.LevelSubject, "https://" + strings.Repeat("h", 600) + "/", link, ""},
		"to the page, if it is no mail":        {registry.KindAttention, registry.LevelSubject, home, "", home},
	} {
		w := pushtest.Work(row.kind, registry.Device{Content: row.level})
		w.Link = row.link
		if m := push.Render(w, row.home, pushtest.Sentences); m.URL != row.want {
			t.Errorf("%s: %q, want %q", name, m.URL, row.want)
		}
	}
}

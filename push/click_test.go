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
	id := pushtest.Planted(registry.MailKind).ID
	for name, row := range map[string]struct {
		kind             registry.Kind
		level            registry.Level
		home, link, want string
	}{
		"by the template":                      {registry.MailKind, registry.Subject, home, link, link},
		"to the page without one":              {registry.MailKind, registry.Subject, home, "", home + "#/mail/" + id},
		"to the page where less may be known":  {registry.MailKind, registry.Sender, home, link, home + "#/mail/" + id},
		"to the page where nothing may":        {registry.MailKind, registry.Wake, home, link, home + "#/mail/" + id},
		"to the page where it is too long":     {registry.MailKind, registry.Subject, home, link + strings.Repeat("x", 500), home + "#/mail/" + id},
		"nowhere, for the page is not known":   {registry.MailKind, registry.Subject, "", link, ""},
		"nowhere, for no host has such a name": {registry.MailKind, registry.Subject, "https://" + strings.Repeat("h", 600) + "/", link, ""},
		"to the page, if it is no mail":        {registry.AttentionKind, registry.Subject, home, "", home},
	} {
		w := pushtest.Work(row.kind, registry.Device{Content: row.level})
		w.Link = row.link
		if m := push.Render(w, row.home, pushtest.Sentences); m.URL != row.want {
			t.Errorf("%s: %q, want %q", name, m.URL, row.want)
		}
	}
}

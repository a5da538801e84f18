package webpush_test

import (
	"strings"
	"testing"

	"idlepush/push/webpush"
)

func TestCheckSubject(t *testing.T) {
	for subject, good := range map[string]bool{
		"mailto:me@example.org":              true,
		"mailto:Me.Too+push@mail.EXAMPLE.de": true,
		"mailto:me@xn--mller-kva.example.de": true,
		"https://example.org":                true,
		"https://push.example.org:8443/who":  true,
		"https://1.1.1.1":                    true,
		"https://[2606:4700::1111]:8443":     true,
		"https://mytest.org":                 true,
		"https://local.example.org":          true,
		"https://bücher.example.org":         true,
		"mailto:me@my_mail.example.org":      true,

		"":                                false,
		"me@example.org":                  false,
		"http://example.org":              false,
		"tel:+49-30-123456":               false,
		"https://":                        false,
		"https://intranet":                false,
		"https://.example.org":            false,
		"https://exa..mple.org":           false,
		"https://exa<mple.org":            false,
		"https://exa mple.org":            false,
		"https://localhost":               false,
		"https://LOCALHOST:8443":          false,
		"https://idle.localhost":          false,
		"https://nas.local":               false,
		"https://push.internal":           false,
		"https://push.lan":                false,
		"https://push.home.arpa":          false,
		"https://push.test":               false,
		"https://push.example":            false,
		"https://push.invalid":            false,
		"https://127.0.0.1":               false,
		"https://[::1]:8080":              false,
		"https://10.1.2.3":                false,
		"https://100.64.1.1":              false,
		"https://192.0.2.1":               false,
		"https://[fd00::1]":               false,
		"https://[fe80::1%25eth0]":        false,
		"https://[2001:db8::1]":           false,
		"https://198.18.0.1":              false,
		"https://240.0.0.1":               false,
		"https://[2002:a00:1::]":          false,
		"https://[64:ff9b::10.0.0.1]":     false,
		"https://[::ffff:10.0.0.1]":       false,
		"https://-push.example.org":       false,
		"https://push.example.org.":       false,
		"mailto:":                         false,
		"mailto:me":                       false,
		"mailto:@example.org":             false,
		"mailto:me@":                      false,
		"mailto:me@localhost":             false,
		"mailto:me@nas.local":             false,
		"mailto:me@[127.0.0.1]":           false,
		"mailto:mailto:":                  false,
		"mailto:mailto:me@example.org":    false,
		"mailto:me@example.org,you@x.org": false,
		"mailto:me@example.org?subject=x": false,
		"mailto:Me <me@example.org>":      false,
		"mailto:<me@example.org>":         false,
		"mailto://me@example.org":         false,
	} {
		err := webpush.CheckSubject(subject)
		if (err == nil) != good {
			t.Errorf("%q: %v", subject, err)
		}
		if err != nil && !strings.Contains(err.Error(), "want ") {
			t.Errorf("%q: %v says not what is wanted", subject, err)
		}
	}
}

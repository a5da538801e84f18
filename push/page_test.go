package push_test

import (
	"net/http"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
)

func TestIsPage(t *testing.T) {
	for name, p := range pushtest.ProxyPages {
		t.Run(name+" is a page", func(t *testing.T) {
			if !push.IsPage(http.Header{"Content-Type": {p.Header.Get("Content-Type")}}, p.Body) {
				t.Errorf("%q is not a page", p.Body)
			}
		})
	}
	for name, p := range pushtest.ProxyTexts {
		t.Run(name+" is no page", func(t *testing.T) {
			if push.IsPage(http.Header{"Content-Type": {p.Header.Get("Content-Type")}}, p.Body) {
				t.Errorf("%q is a page", p.Body)
			}
		})
	}
	for name, c := range map[string]struct{ media, body string }{
		"nothing":               {"", ""},
		"nothing of type HTML":  {"text/html", ""},
		"JSON":                  {"application/json", `{"reason":"Unregistered"}`},
		"JSON, called HTML":     {"text/html; charset=utf-8", ` {"code":404}`},
		"a sentence":            {"text/plain", "push subscription has unsubscribed or expired.\n"},
		"a sentence about HTML": {"text/plain", "no <html> here"},
	} {
		t.Run(name+" is no page", func(t *testing.T) {
			if push.IsPage(http.Header{"Content-Type": {c.media}}, c.body) {
				t.Errorf("%q of type %q is a page", c.body, c.media)
			}
		})
	}
}

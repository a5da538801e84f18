package services_test

import (
	"reflect"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
	"idlepush/registry"
)

func TestLane(t *testing.T) {
	st := offlineSetup(t)
	in := func(environment string) map[string]string { return map[string]string{"environment": environment} }
	for _, c := range []struct {
		lane string
		d    idlepush.Device
	}{
		{"fcm", idlepush.Device{Transport: fcm.Name, Address: "t"}},
		{"apns production", idlepush.Device{Transport: apns.Name, Address: "t", Params: in("production")}},
		{"apns sandbox", idlepush.Device{Transport: apns.Name, Address: "t", Params: in("sandbox")}},
		{"apns production", idlepush.Device{Transport: apns.Name, Address: "t"}}, // tried first
		{"webpush https://push.example", idlepush.Device{Transport: webpush.Browser, Address: "https://push.example/secret?x#y"}},
		{"webpush https://push.example", idlepush.Device{Transport: webpush.Browser, Address: "HTTPS://PUSH.example:443/secret"}},
		{"webpush http://push.example", idlepush.Device{Transport: webpush.UnifiedPush, Address: "http://push.example:80/secret"}},
		{"webpush https://push.example:8443", idlepush.Device{Transport: webpush.UnifiedPush, Address: "https://push.example:8443/secret"}},
		{"webpush https://user.example", idlepush.Device{Transport: webpush.UnifiedPush, Address: "https://name:password@user.example/secret"}},
		{"webpush http://[2001:db8::1]:8080", idlepush.Device{Transport: webpush.UnifiedPush, Address: "http://[2001:db8::1]:8080/secret"}},
		{"webpush", idlepush.Device{Transport: webpush.Browser, Address: "https://%zz/"}},
		{"webpush", idlepush.Device{Transport: webpush.Browser}},
		{"as it was", idlepush.Device{Transport: "unknown", Lane: "as it was"}},
	} {
		if got := st.transports.Routed(c.d); got.Lane != c.lane || got.MustShow != (c.d.Transport == webpush.Browser) {
			t.Errorf("%s: lane %q, must show %v, want %q", c.d.Transport, got.Lane, got.MustShow, c.lane)
		}
	}
}

func TestCheck(t *testing.T) {
	st := offlineSetup(t)
	for name, d := range st.devices {
		if err := st.sender(d).Check(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	topic := st.devices["apns"]
	topic.Params = map[string]string{"topic": "no bundle id"}
	for field, list := range map[string][]idlepush.Device{
		"address": {{Transport: fcm.Name}, {Transport: fcm.Name, Address: "line\nbreak"}, {Transport: apns.Name, Address: "too short"},
			{Transport: webpush.Browser}, {Transport: webpush.Browser, Address: "ftp://push.example/x"}, {Transport: webpush.Browser, Address: "https://a b/x"},
			{Transport: webpush.Browser, Address: "https:///x"}, {Transport: webpush.Browser, Address: "push.example/x"}, {Transport: webpush.Browser, Address: "https://u:p@push.example/x"},
			{Transport: webpush.UnifiedPush, Address: "https://push.example/x#fragment"}, {Transport: webpush.UnifiedPush, Address: "https://user@push.example/x"},
			{Transport: webpush.UnifiedPush, Address: "https://-push.example/x"}},
		"topic": {topic},
	} {
		for _, d := range list {
			bad, ok := st.sender(d).Check(d).(*push.FieldError)
			if !ok || bad.Field != field || bad.Reason.Code == "" {
				t.Errorf("%s %q: %v", d.Transport, string(d.Address), bad)
			}
		}
	}
}

func TestNotConfigured(t *testing.T) {
	for _, transport := range []push.Transport{new(fcm.Transport), new(apns.Transport)} {
		name := transport.Traits().Name
		d := idlepush.Device{Transport: name, Address: "t"}
		if bad, ok := transport.Check(d).(*push.FieldError); !ok || bad.Field != "transport" {
			t.Errorf("%s: its check says %v", name, bad)
		}
		_, refusal := transport.Preview(d, push.Message{})
		sent := transport.Send(t.Context(), d, push.Message{})
		if refusal == nil || !reflect.DeepEqual(*refusal, sent) || sent.Result != registry.ResultMisconfigured || sent.Code != codes.Code(name+"_not_configured") {
			t.Errorf("%s: %+v and %+v", name, refusal, sent)
		}
	}
}

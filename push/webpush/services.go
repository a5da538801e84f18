package webpush

import "strings"

// services are the hosts of the push services of browsers. What such a host says of a subscription
// is the service's own word. One that begins with a dot stands for all hosts below it. Sources:
//
//   - Apple: "Sending web push notifications in web apps and browsers" names *.push.apple.com
//   - Microsoft: "Firewall allowlist for WNS traffic" names *.notify.windows.com
//   - Mozilla: autopush-rs's documentation
//   - Google publishes no list: the hosts are those of Chrome's subscriptions
var services = []string{
	appleHosts,
	".notify.windows.com",
	".push.services.mozilla.com",
	"android.googleapis.com",
	"fcm.googleapis.com",
	"jmt17.google.com",
}

// isService reports whether the host is one of services. It must be in lower case.
func isService(host string) bool {
	for _, s := range services {
		if host == s || strings.HasPrefix(s, ".") && strings.HasSuffix(host, s) {
			return true
		}
	}
	return false
}

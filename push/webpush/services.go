package webpush

import (
	"slices"
	"strings"
)

// services are the hosts of the push services of browsers. What such a host says of a subscription
// is the service's own word. One that begins with a dot stands for all hosts below it. Push servers
// that anybody may run, such as ntfy, are not among them. Sources:
//
//   - Apple: "Sending web push notifications in web apps and browsers" says to allow
//     *.push.apple.com
//   - Microsoft: "Windows Push Notification Services (WNS) overview" says that a channel is on no
//     domain but notify.windows.com, and that its subdomain may change
//   - Mozilla: mozilla-services.github.io/autopush-rs names the endpoint
//   - Google: components/push_messaging/push_messaging_constants.cc of Chromium; builds that are
//     not the stable Chrome use jmt17.google.com. android.googleapis.com was that of GCM, which
//     had no VAPID and is shut down
var services = []string{
	appleHosts,
	".notify.windows.com",
	"updates.push.services.mozilla.com",
	"fcm.googleapis.com",
	"jmt17.google.com",
}

// isService reports whether the host is one of services. It must be in lower case.
func isService(host string) bool {
	_, found := serviceAt(host)
	return found
}

// serviceAt returns the one of services to which the host belongs. It must be in lower case.
func serviceAt(host string) (service string, found bool) {
	i := slices.IndexFunc(services, func(s string) bool {
		return host == s || strings.HasPrefix(s, ".") && strings.HasSuffix(host, s)
	})
	if i < 0 {
		return "", false
	}
	return services[i], true
}

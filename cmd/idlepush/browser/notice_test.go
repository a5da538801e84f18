package browser

import (
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// TestNotice loses the only device of a person, who then opens the page.
func TestNotice(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s := startSystem(t)
	s.SetUp(t)
	ctx := testenv.Context(t)
	lose := func() {
		t.Helper()
		token := s.FCM.Register(nil)
		systemtest.Must(t, s.Client.Post(ctx, "/devices", object{"name": "pixel", "transport": "fcm", "token": token}, nil))
		s.FCM.Unregister(token)
		s.Deliver(t, "planted")
	}
	systemtest.Must(t, s.Client.Post(ctx, "/accounts", s.Account(), nil))
	s.WaitWatched(t, 1)
	lose()
	p := b.Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	const told = "No device of yours rings any more"
	shown := func() bool { return strings.Contains(p.Text(t), told) }
	p.WaitText(t, told)
	p.WaitText(t, "pixel gets no more notifications: FCM says that the app is no longer installed")
	checkSizes(t, p)
	p.Reload(t)
	p.WaitText(t, told)

	p.Click(t, "Dismiss")
	p.WaitText(t, "When mail arrives, this device will show it") // what is there without a notice
	if shown() {
		t.Error("it is still there after it was dismissed")
	}
	p.Reload(t)
	p.WaitText(t, "anna@example.org")
	if shown() {
		t.Error("it came back")
	}

	lose() // an open page hears of it
	p.WaitText(t, told)
	p.Click(t, "Ring this device")
	p.WaitText(t, "No device rings yet.")
	systemtest.Must(t, s.Client.Post(ctx, "/devices", object{"name": "another", "transport": "fcm", "token": s.FCM.Register(nil)}, nil))
	s.openView(t, p, "mailboxes", "anna@example.org")
	if shown() {
		t.Error("it is still there after a device was registered")
	}
}

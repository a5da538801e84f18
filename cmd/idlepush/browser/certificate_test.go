package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// TestCertificate has a mail server at home with a certificate that nobody knows, which changes
// later.
func TestCertificate(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSystem(t)
	first := idlepush.CertificateOf(s.Mail.ReplaceCertificate(t)).Fingerprint
	p := chromium.Open(t, s.setupLink(t))
	enterLogin(t, p, "Begin", "anna", systemtest.Password)
	asks := func(t *testing.T, fingerprint idlepush.Fingerprint) {
		t.Helper()
		p.WaitText(t, "Do you trust this certificate?")
		p.WaitText(t, string(fingerprint))
		p.WaitText(t, "openssl x509 -noout -fingerprint -sha256 -in cert.pem")
		p.Wait(t, "the question has the focus", `() => document.activeElement.textContent === "Do you trust this certificate?"`)
		checkSizes(t, p)
	}

	t.Run("the certificate is shown, and accepted by the keyboard", func(t *testing.T) {
		p.Type(t, "Email address", "anna@example.org")
		p.Type(t, "Its password", "planted-wrong-password")
		p.WaitText(t, "No settings were found")
		s.enterMailServer(t, p)
		asks(t, first)
		p.WaitText(t, "The server's certificate is signed by nobody this machine trusts")
		p.WaitText(t, "localhost, 127.0.0.1, ::1")
		p.Wait(t, "both days of its validity are there", `() => /^from \w+ \d+, \d{4} to \w+ \d+, \d{4}$/.test([...document.querySelectorAll("dt")].find((dt) => dt.textContent === "Valid").nextElementSibling.textContent)`)
		if strings.Contains(p.Text(t), "No settings were found") {
			t.Error("the page still says that there are no settings")
		}
		checkLayout(t, p)
		p.Press(t, browsertest.Tab, browsertest.Enter)
	})
	t.Run("it is not asked about again after a wrong password", func(t *testing.T) {
		p.Wait(t, "the password is refused at its field", `() => document.querySelector("[name=password][aria-invalid]") !== null`)
		if p.Has(t, "Trust this certificate") {
			t.Error("the page asks again")
		}
		p.Type(t, "Its password", s.Mail.Password)
		p.Click(t, "Continue")
		p.WaitText(t, "Which folders ring?")
		p.Click(t, "Watch this mailbox")
		p.WaitText(t, "Let it ring here")
	})

	// wait waits until the mailbox is in a state and trusts a certificate, and returns its view.
	wait := func(t *testing.T, state, code string, fingerprint idlepush.Fingerprint) (view string) {
		t.Helper()
		testenv.Await(t, "the mailbox is "+state, func() error {
			var list struct {
				Items []struct {
					ID, Certificate string
					Status          struct{ State, Code string }
				}
			}
			callAPI(t, p, "GET", "/accounts", nil, &list)
			if len(list.Items) != 1 || list.Items[0].Status.State != state || list.Items[0].Status.Code != code || list.Items[0].Certificate != string(fingerprint) {
				return fmt.Errorf("there are %+v", list.Items)
			}
			view = "mailbox/" + list.Items[0].ID
			return nil
		})
		return view
	}
	wait(t, "watching", "", first)
	second := idlepush.CertificateOf(s.Mail.ReplaceCertificate(t)).Fingerprint
	view := wait(t, "attention", "certificate_changed", first)

	t.Run("a changed one needs attention, and the mailbox leads to it", func(t *testing.T) {
		s.openView(t, p, view, "Look at the new certificate")
		p.WaitText(t, "The server's certificate has changed. If it was renewed, look at the new one")
		var prints []string
		p.Eval(t, &prints, `() => [...document.querySelectorAll("main code")].filter(page.shown).map((code) => code.textContent)`)
		if !slices.Equal(prints, []string{string(first), string(second)}) || strings.Count(p.Text(t), string(second)) != 1 {
			t.Errorf("the page shows the fingerprints %q: %s", prints, p.Text(t))
		}
		p.WaitText(t, "The server shows now")
		checkSizes(t, p)
		p.Type(t, "Its password", s.Mail.Password)
		p.Click(t, "Continue")
		asks(t, second)
		p.Click(t, "Trust this certificate")
		p.WaitText(t, "Saved.")
		wait(t, "watching", "", second)
		s.openView(t, p, view, "Change the password")
		p.Click(t, "Connection details")
		p.WaitText(t, "Trusted certificate")
		if text := p.Text(t); !strings.Contains(text, string(second)) || strings.Contains(text, string(first)) {
			t.Errorf("the page says %s", text)
		}
		checkSizes(t, p)
	})
	checkOnlyRefusals(t, chromium)
	chromium.Close(t)
	s.Stop(t)
	s.CheckNoSecrets(t, "planted-wrong-password", s.Mail.Password)
}

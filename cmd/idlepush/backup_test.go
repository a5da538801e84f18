package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

// keepCommand runs a command for the system, with the words as its input, and returns what it
// prints.
func keepCommand(t *testing.T, s *systemtest.System, input string, args ...string) (string, error) {
	t.Helper()
	c := s.Command(t)
	c.Args = append(c.Args[:1], args...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	return string(out), err
}

// A backup is taken while mail comes. Then the machine is lost, and the store is restored on
// another one, where nothing but the backup and its passphrase is known.
func TestABackupUnderLoadRestoredElsewhereRingsOn(t *testing.T) {
	t.Parallel()
	const passphrase = registrytest.SecretMarker + " passphrase"
	file := filepath.Join(t.TempDir(), "backup")
	s := systemtest.NewScenario(t, itself(t))
	s.FCM.Fail("", pushtest.Fault{Status: 503}) // much waits in its queues
	before := s.Web.Requests()
	s.DeliverMails(t, 12)
	testenv.Await(t, "pushes are on their way", requests(s.Web.Requests, before+3))
	if out, err := keepCommand(t, s.System, passphrase+"\n", "backup", file, "--with-key"); err != nil || !strings.Contains(out, "It has the key") {
		t.Fatalf("%v: %s", err, out)
	}
	s.FCM.ClearFaults()
	s.DeliverMails(t, 6)
	s.WaitDelivered(t)
	// Of mailbox 0, everything is read before the machine is lost.
	s.Mail.Doveadm(t, s.Mailboxes[0], "flags", "add", `\Seen`, "mailbox", "INBOX", "all")
	s.Kill(t)
	told := s.MailPushes(t)

	if out, err := keepCommand(t, s.System, "", "check", file); err != nil || !strings.Contains(out, "To try the passphrase, name an empty folder") {
		t.Errorf("a check beside the key: %v: %s", err, out)
	}
	s.Data = filepath.Join(t.TempDir(), "elsewhere")
	if out, err := keepCommand(t, s.System, passphrase+"\n", "check", file); err != nil || !strings.Contains(out, "with its key, which the passphrase opens") {
		t.Errorf("a check elsewhere: %v: %s", err, out)
	}
	if out, err := keepCommand(t, s.System, "wrong passphrase\n", "restore", file); err == nil || !strings.Contains(out, "the passphrase is not that of the backup: nothing was changed") {
		t.Errorf("a wrong passphrase: %v: %s", err, out)
	}
	if out, err := keepCommand(t, s.System, passphrase+"\n", "restore", file); err != nil || !strings.Contains(out, "Start idlepush there.") {
		t.Fatalf("%v: %s", err, out)
	}
	s.DeliverMails(t, 3) // while none runs
	s.Start(t)
	s.DeliverMails(t, 3)
	s.WaitDelivered(t)
	s.CheckComplete(t)
	for phone, list := range s.MailPushes(t) {
		rang := make(map[string]int)
		for i, p := range list {
			rang[p.ID]++
			if again := i >= len(told[phone]) && rang[p.ID] > 1; again && strings.HasPrefix(p.Subject, s.Mailboxes[0]) || rang[p.ID] > 2 {
				t.Errorf("%s rings for %q again", phone, p.Subject)
			}
		}
	}
	s.Stop(t)
	s.CheckNoSecrets(t, "Äpfel", "Größe", "Words of mail")
	data, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(data), registrytest.SecretMarker) {
		t.Errorf("the backup has a secret, or %v", err)
	}
}

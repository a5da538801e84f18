package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/registrytest"
)

// doctorRun runs the command doctor as a process, with the settings of the daemon.
func doctorRun(t *testing.T, s *systemtest.System, stdin string, args ...string) (code int, report string) {
	t.Helper()
	c := doctorCommandOf(t, s, stdin, args...)
	out, err := c.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	noSecretsIn(t, s, string(out))
	return code, string(out)
}

func doctorCommandOf(t *testing.T, s *systemtest.System, stdin string, args ...string) *exec.Cmd {
	t.Helper()
	c := s.Command(t, "IDLEPUSH_ADMIN_TOKEN="+registrytest.SecretMarker+"-admin-token")
	c.Args = append([]string{c.Args[0], "doctor"}, args...)
	c.Stdin = strings.NewReader(stdin)
	return c
}

// noSecretsIn fails the test if the report holds a secret, the address of a person, or what a mail
// says.
func noSecretsIn(t *testing.T, s *systemtest.System, report string) {
	t.Helper()
	for _, secret := range []string{registrytest.SecretMarker, s.Mail.Password, s.Client.Token, "anna@example.org", "Planted", "planted-subject", "BEGIN PRIVATE KEY", s.WebOrigin} {
		if secret != "" && strings.Contains(report, secret) {
			t.Errorf("the report holds %.12q:\n%s", secret, report)
		}
	}
}

// lines fails the test unless the report has a line that begins with each of these, with single
// spaces.
func hasLines(t *testing.T, report string, want ...string) {
	t.Helper()
	var lines strings.Builder
	for line := range strings.Lines(report) {
		lines.WriteString("\n" + strings.Join(strings.Fields(line), " "))
	}
	for _, line := range want {
		if !strings.Contains(lines.String(), "\n"+line) {
			t.Errorf("no line begins with %q:\n%s", line, report)
		}
	}
}

func TestDoctorOfDaemon(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	before := s.FCM.Requests() + s.APNs.Requests() + s.Web.Requests()
	sent := len(s.FCM.Messages()) + len(s.APNs.Messages()) + len(s.Web.Messages())

	code, report := doctorRun(t, s, "")
	hasLines(t, report, "ok idlepush it runs, and this is its own report", "ok settings given are listen, data, allow-mail, allow-push, fcm-credentials", "ok data ", "ok store it can be read",
		"ok fcm Google gives an access token", "ok fcm FCM takes messages of this server", "ok apns APNs takes messages of this server (production)",
		"look webpush iPhones", "look public URL it is not known", "ok mailboxes a…@example.org (id ", "ok devices 4 of 4 ring")
	if wrong := strings.Contains(report, "\nwrong "); (code == 1) != wrong || !strings.Contains(report, "): watching") {
		t.Errorf("it exits with %d after\n%s", code, report)
	}
	if now := s.FCM.Requests() + s.APNs.Requests() + s.Web.Requests(); now != before+2 {
		t.Errorf("the services were asked %d times", now-before)
	}
	if now := len(s.FCM.Messages()) + len(s.APNs.Messages()) + len(s.Web.Messages()); now != sent {
		t.Errorf("%d phones rang", now-sent)
	}

	code, report = doctorRun(t, s, "", "anna@example.org")
	hasLines(t, report, "ok settings idlepush has the mailbox a…@example.org (id ", "ok server localhost is in the DNS", "ok server 127.0.0.1:", "ok server an IMAP server greets",
		"ok server the login works", "ok server the server offers IDLE", "ok server watched folders that can be opened: 1")
	if code != 0 {
		t.Errorf("of a mailbox that works it exits with %d:\n%s", code, report)
	}
	doctorWaits(t, s)
	// The command alone could not reach the server.
	other := []string{"ben@example.org", "--host", "localhost", "--port", strconv.Itoa(s.Mail.TLSPort), "--username", s.Mail.User, "--allow-mail", "192.0.2.1"}
	if code, report = doctorRun(t, s, s.Mail.Password, other...); code != 0 || !strings.Contains(report, "the login works") || strings.Contains(report, "does not run") {
		t.Errorf("of another mailbox it exits with %d:\n%s", code, report)
	}

	s.Stop(t)
	code, report = doctorRun(t, s, s.Mail.Password, other...)
	hasLines(t, report, "look idlepush it does not run with this data folder: this command looks with its own settings", "wrong server the mail server cannot be used")
	if code != 1 {
		t.Errorf("of another mailbox it exits with %d without a daemon", code)
	}
	code, report = doctorRun(t, s, "")
	hasLines(t, report, "ok idlepush it does not run with this data folder", "ok store it can be read", "ok fcm FCM takes", "ok mailboxes a…@example.org (id ", "ok devices 4 of 4 ring when idlepush last ran")
	if wrong := strings.Contains(report, "\nwrong "); (code == 1) != wrong || !strings.Contains(report, "watching for less than a minute when idlepush last ran") {
		t.Errorf("it exits with %d after\n%s", code, report)
	}
	if code, report = doctorRun(t, s, "", "Anna@example.org"); code != 0 || !strings.Contains(report, "the login works") {
		t.Errorf("without a daemon it exits with %d:\n%s", code, report)
	}
	s.CheckNoSecrets(t)
}

// doctorWaits delivers a mail when the command asks for one.
func doctorWaits(t *testing.T, s *systemtest.System) {
	t.Helper()
	c := doctorCommandOf(t, s, "", "--wait", "anna@example.org")
	out, err := c.StdoutPipe()
	systemtest.Must(t, err)
	systemtest.Must(t, c.Start())
	var report strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		report.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "now send a mail to this mailbox, within 5 minutes") {
			s.Deliver(t, "planted-subject")
		}
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it exits with %v", err)
	}
	hasLines(t, report.String(), "ok server the server told of the new mail")
	noSecretsIn(t, s, report.String())
}

func TestDoctorOfMailbox(t *testing.T) {
	t.Parallel()
	s := systemtest.New(t, itself(t)) // the daemon does not run, and there is no data folder
	port := strconv.Itoa(s.Mail.TLSPort)
	at := []string{"ben@example.org", "--host", "localhost", "--port", port, "--username", s.Mail.User}
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		want  []string
	}{
		"the right password": {s.Mail.Password + "\n", at, 0, []string{"ok server the login works", "ok server folders in the mailbox: "}},
		"no end of line":     {s.Mail.Password, at, 0, []string{"ok server the login works"}},
		"a wrong password":   {"planted-wrong\n", at, 1, []string{"ok server the server takes a password", "wrong server the mail server refuses"}},
		"no password":        {"", at, 0, []string{"look server there is nothing to log in with"}},
		"a closed port":      {"", []string{"ben@example.org", "--host", "localhost", "--port", "1"}, 1, []string{"wrong server the connection is refused"}},
		"a wrong security":   {"", append(at, "--security", "starttls"), 1, []string{"wrong server "}},
		"no server found":    {"", []string{"ben@no-such-domain.invalid"}, 1, []string{"wrong settings No settings were found"}},
	} {
		began := time.Now()
		code, report := doctorRun(t, s, c.stdin, c.args...)
		if code != c.code || strings.Contains(report, "ben@") || strings.Contains(report, "planted-wrong") {
			t.Errorf("%s: it exits with %d:\n%s", name, code, report)
		}
		hasLines(t, report, c.want...)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: it took %v", name, took)
		}
	}
	var out, errs bytes.Buffer
	err := runDoctor(t.Context(), append(at, "--data", t.TempDir()), func(string) string { return "" }, brokenInput{}, &out, &errs)
	if err == nil || !strings.Contains(err.Error(), "read the password: ") {
		t.Errorf("with a broken input: %v", err)
	}
}

// brokenInput cannot be read.
type brokenInput struct{}

// Read implements io.Reader.
func (brokenInput) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

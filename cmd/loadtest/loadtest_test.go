//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"idlepush/registry/testenv"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestRows measures every row with so few accounts that the figures mean nothing, and makes
// profiles.
func TestRows(t *testing.T) {
	profiles := t.TempDir()
	var out bytes.Buffer
	// Each row has a time of its own. Only go test's -timeout bounds all of them.
	if err := run(t.Context(), []string{"-n=10", "-rounds=1", "-profile=" + profiles}, &out); err != nil {
		t.Fatal(err)
	}
	measured := regexp.MustCompile(`^\| [^|]+ \| ([0-9][^|]* \| [0-9][^|]* \| [0-9.]+ ×|– \| [0-9][^|]* \| (–|exponent -?[0-9.]+)) \| [^|]*\|$`)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines[2:] {
		if !measured.MatchString(line) {
			t.Errorf("not measured: %s", line)
		}
	}
	if len(lines) < 2+len(rows) {
		t.Errorf("%d rows give only:\n%s", len(rows), out.String())
	}
	for _, name := range []string{"ring-disk", "ring-ram", "together", "drain-fcm", "drain-apns", "drain-webpush", "sessions-10", "refresh"} {
		for _, kind := range []string{".cpu", ".heap"} {
			text, err := os.ReadFile(filepath.Join(profiles, name+kind))
			if err != nil || !bytes.HasPrefix(text, []byte{0x1f, 0x8b}) { // pprof is gzipped
				t.Errorf("%s%s begins with %.2x, %v", name, kind, text, err)
			}
		}
	}
}

func TestExponent(t *testing.T) {
	for _, exponent := range []float64{0, 0.5, 1, 2} {
		var g growth
		for _, n := range decades(1000) {
			g.add(n, 7*math.Pow(float64(n), exponent), "")
		}
		if got := g.exponent(); math.Abs(got-exponent) > 0.001 {
			t.Errorf("the exponent is %v, want %v", got, exponent)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-n=-1"}, {"-rounds=0"}, {"nothing"}, {"-x"}} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

// TestMailServer delivers a mail between two IDLEs: the second tells of it.
func TestMailServer(t *testing.T) {
	ctx, end := context.WithCancel(testenv.Context(t))
	authority, err := newAuthority(filepath.Join(t.TempDir(), "roots.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := serveMail(ctx, authority.config())
	if err != nil {
		t.Fatal(err)
	}
	defer s.serving.Wait()
	defer end()
	f := floor{MailPort: s.port}
	f.tls = map[netip.Addr]*tls.Config{hostOf(0): {InsecureSkipVerify: true}}
	conn, in, err := f.logIn(0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(exchange(conn, in, "a IDLE\r\n", "+"))
	must(s.awaitIdle(ctx, 1))
	must(exchange(conn, in, "DONE\r\n", "a OK"))
	s.deliver(floorUser(0))
	_, err = conn.Write([]byte("b IDLE\r\n"))
	must(err)
	if mails, err := awaitMail(in); mails != oldMails+1 || err != nil {
		t.Errorf("there are %d mails, %v", mails, err)
	}
}

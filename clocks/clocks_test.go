package clocks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry/registrytest"
)

func TestJump(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)
	reading := func(wall, mono time.Duration) Reading { return Reading{at.Add(wall), at.Add(mono)} }
	for _, c := range []struct {
		what       string
		wall, mono time.Duration // from the first reading to the second
		want       time.Duration
	}{
		{"nothing happened", 10 * time.Second, 10 * time.Second, 0},
		{"the machine slept for a night", 8*time.Hour + 3*time.Second, 3 * time.Second, 8 * time.Hour},
		{"it slept, and no time passed awake", time.Hour, 0, time.Hour},
		{"the clock was set ahead", 40*365*24*time.Hour + 10*time.Second, 10 * time.Second, 40 * 365 * 24 * time.Hour},
		{"the clock was set back", 10*time.Second - time.Hour, 10 * time.Second, -time.Hour},
		{"a leap second was inserted", 9 * time.Second, 10 * time.Second, -time.Second},
		{"the clock was slewed by NTP", 10*time.Second + 5*time.Millisecond, 10 * time.Second, 5 * time.Millisecond},
	} {
		if got := Jump(reading(0, 0), reading(c.wall, c.mono)); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	t.Run("the wall clock has no monotonic reading", func(t *testing.T) {
		t.Parallel()
		for name, wall := range map[string]func() time.Time{"the machine's": nil, "of a test": time.Now} {
			if r := Read(wall); r.Wall != r.Wall.Round(0) || r.Mono == r.Mono.Round(0) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		jumps []time.Duration // one every half hour
		want  []time.Duration // that are reported
	}{
		{"nothing is reported while the clocks agree", nil, nil},
		{"a sleep is reported", []time.Duration{8 * time.Hour}, []time.Duration{8 * time.Hour}},
		{"every sleep is reported, and so is a clock that is set", []time.Duration{10 * time.Second, time.Minute, -time.Hour}, []time.Duration{10 * time.Second, time.Minute, -time.Hour}},
		{"small corrections are not, and do not add up", slices.Repeat([]time.Duration{9 * time.Second}, 100), nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var clock registrytest.Clock
				ctx, cancel := context.WithCancel(t.Context())
				reported := make(chan time.Duration, len(c.jumps))
				var watching sync.WaitGroup
				watching.Go(func() { Watch(ctx, clock.Now, func(by time.Duration) { reported <- by }) })
				var got []time.Duration
				for _, by := range c.jumps {
					time.Sleep(30*time.Minute + 7*time.Second)
					clock.Move(by)
					time.Sleep(10 * time.Second)
					synctest.Wait()
					select {
					case by := <-reported:
						got = append(got, by)
					default:
					}
				}
				time.Sleep(time.Hour)
				cancel()
				watching.Wait()
				// Late, or twice.
				got = append(got, slices.Repeat([]time.Duration{0}, len(reported))...)
				if !slices.Equal(got, c.want) {
					t.Errorf("it reported %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)
	certificate := &x509.Certificate{NotBefore: now, NotAfter: now.AddDate(0, 0, 90)}
	outOfTime := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Cert: certificate}}
	for _, c := range []struct {
		what           string
		err            error
		now            time.Time
		early, expired bool
	}{
		{"not yet valid", outOfTime, now.Add(-time.Hour), true, false},
		{"valid from now on", outOfTime, now, false, false},
		{"valid until now", outOfTime, certificate.NotAfter, false, false},
		{"no longer valid", outOfTime, certificate.NotAfter.Add(time.Second), false, true},
		{"without the certificate", x509.CertificateInvalidError{Reason: x509.Expired}, now.AddDate(1, 0, 0), false, false},
		{"invalid for another reason", x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign, Cert: certificate}, now.AddDate(1, 0, 0), false, false},
		{"another error", io.EOF, now, false, false},
		{"no error", nil, now, false, false},
	} {
		if from, yes := NotYetValid(c.err, c.now); yes != c.early || yes && !from.Equal(certificate.NotBefore) {
			t.Errorf("%s: not yet valid %v, from %v", c.what, yes, from)
		}
		if until, yes := Expired(c.err, c.now); yes != c.expired || yes && !until.Equal(certificate.NotAfter) {
			t.Errorf("%s: expired %v, until %v", c.what, yes, until)
		}
	}
}

func TestElapsed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		what             string
		wall, mono, want time.Duration
	}{
		{"nothing happened", time.Minute, time.Minute, time.Minute},
		{"a sleep counts", 8 * time.Hour, time.Minute, 8 * time.Hour},
		{"a clock that was set back makes nothing longer", -8 * time.Hour, time.Minute, time.Minute},
	} {
		if got := Elapsed(Reading{at, at}, Reading{at.Add(c.wall), at.Add(c.mono)}); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

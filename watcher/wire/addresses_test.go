package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/netguard"
	"idlepush/watcher/imaptest"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	t.Run("a silent address gives way to another", silentAddress)
	t.Run("an address that swallows packets hardly delays", blackHoledAddress)
	t.Run("a connection that comes second is closed", secondConnection)
	t.Run("forbidden addresses are passed over", forbiddenAddresses)
	t.Run("the family that worked last is tried first", lastFamilyFirst)
	t.Run("a name with many addresses costs a bounded time", manyAddresses)
	t.Run("cancelling ends Dial at any address", cancelAtAnyAddress)
	t.Run("a name that does not resolve is a DNS error", unresolvedName)
}

func silentAddress(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	silent := says("")
	muteAt := func(command string) host {
		return takes((&imaptest.Script{TLS: config, On: map[string]func(*imaptest.Talk, string){command: func(*imaptest.Talk, string) {}}}).Serve)
	}
	for name, c := range map[string]struct {
		security Security
		host     host
	}{
		"at the handshake":            {TLS, silent},
		"at the greeting, within TLS": {TLS, secured(config, (&imaptest.Script{On: map[string]func(*imaptest.Talk, string){"greeting": func(*imaptest.Talk, string) {}}}).Serve)},
		"at the greeting":             {None, silent},
		"at the greeting, then TLS":   {StartTLS, silent},
		"at STARTTLS":                 {StartTLS, muteAt("STARTTLS")},
		"at the handshake in STARTTLS": {StartTLS, takes((&imaptest.Script{
			On: map[string]func(*imaptest.Talk, string){"STARTTLS": func(talk *imaptest.Talk, _ string) { talk.OK("begin") }},
			// The random bytes of a handshake may look like a command, which would be answered.
			At: func(talk *imaptest.Talk, moment string) {
				if moment == "after STARTTLS" {
					talk.Silence()
				}
			},
			Caps: "IMAP4rev1 STARTTLS",
		}).Serve)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tn := &testNet{hosts: map[netip.Addr]host{six: c.host, four: mailServer(c.security, certificate)}}
				e := Endpoint{Host: "mail.test", Port: 993, Security: c.security, TLS: trusted(certificate), Resolve: resolveTo(six, four)}
				at, took, err := reached(t, tn, e)
				if err != nil || at != four || took != testTimeout/3 {
					t.Errorf("reached %v after %v: %v", at, took, err)
				}
				// Alone, it may take its time.
				e.Resolve = resolveTo(six)
				_, took, err = reached(t, tn, e)
				if _, timedOut := errors.AsType[*TimeoutError](err); !timedOut || took != testTimeout {
					t.Errorf("alone: %v after %v", err, took)
				}
			})
		})
	}
}

func blackHoledAddress(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		tn := &testNet{hosts: map[netip.Addr]host{six: blackHole, four: mailServer(TLS, certificate)}}
		e := Endpoint{Host: "mail.test", Port: 993, Security: TLS, TLS: trusted(certificate), Resolve: resolveTo(six, four)}
		at, took, err := reached(t, tn, e)
		if err != nil || at != four || took != 250*time.Millisecond {
			t.Errorf("reached %v after %v: %v", at, took, err)
		}
		// It does not delay the answer of another.
		e.TLS = nil
		_, took, err = reached(t, tn, e)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || took > testTimeout/3+time.Second {
			t.Errorf("%v after %v", err, took)
		}
		tn.hosts[four] = blackHole
		_, took, err = reached(t, tn, e)
		if timedOut, ok := errors.AsType[*TimeoutError](err); !ok || timedOut.Waiting != "the connection" || took != testTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func secondConnection(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		server := mailServer(TLS, certificate)
		// Both connect at the same moment.
		after := func(wait time.Duration) host {
			return func(ctx context.Context) (net.Conn, error) {
				time.Sleep(wait)
				return server(ctx)
			}
		}
		tn := &testNet{hosts: map[netip.Addr]host{six: after(300 * time.Millisecond), four: after(50 * time.Millisecond)}}
		e := Endpoint{Host: "mail.test", Port: 993, Security: TLS, TLS: trusted(certificate), Resolve: resolveTo(six, four)}
		if _, took, err := reached(t, tn, e); err != nil || took != 300*time.Millisecond {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func forbiddenAddresses(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	mapped := netip.AddrFrom16(four.As16())
	nat64 := netip.MustParseAddr("64:ff9b::192.0.2.4")
	forbidden := errors.New("not there")
	for name, c := range map[string]struct {
		resolveTo, forbidden, dialed []netip.Addr
		err                          error
	}{
		"the first":           {resolveTo: []netip.Addr{six, four}, forbidden: []netip.Addr{six}, dialed: []netip.Addr{four}},
		"the last":            {resolveTo: []netip.Addr{four, six}, forbidden: []netip.Addr{six}, dialed: []netip.Addr{four}},
		"all":                 {resolveTo: []netip.Addr{six, four}, forbidden: []netip.Addr{six, four}, err: forbidden},
		"all but a dead one":  {resolveTo: []netip.Addr{nat64, four}, forbidden: []netip.Addr{four}, dialed: []netip.Addr{nat64}, err: syscall.ECONNREFUSED},
		"written in IPv6":     {resolveTo: []netip.Addr{mapped}, forbidden: []netip.Addr{four}, err: forbidden},
		"NAT64 is none of it": {resolveTo: []netip.Addr{nat64}, forbidden: []netip.Addr{nat64}, err: forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tn := &testNet{hosts: map[netip.Addr]host{six: says(""), four: mailServer(TLS, certificate), nat64: refuse}}
				e := Endpoint{Host: "mail.test", Port: 993, Security: TLS, TLS: trusted(certificate), Resolve: resolveTo(c.resolveTo...),
					Permit: func(at netguard.Target) error {
						if at.Host != "mail.test" || at.Addr.Port() != 993 {
							t.Errorf("asked about %+v", at)
						}
						if slices.Contains(c.forbidden, at.Addr.Addr()) {
							return forbidden
						}
						return nil
					}}
				e.Dial = tn.dial
				conn, err := Dial(t.Context(), e, DefaultLimits, testTimeout)
				if !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if err == nil {
					conn.Close()
				}
				if dialed := tn.forget(); !slices.Equal(dialed, c.dialed) {
					t.Errorf("dialed %v, want %v", dialed, c.dialed)
				}
			})
		})
	}
}

func lastFamilyFirst(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		six2, four2 := six.Next(), four.Next()
		server := mailServer(TLS, certificate)
		tn := &testNet{hosts: map[netip.Addr]host{six: says(""), six2: says(""), four: refuse, four2: server}}
		families := new(Families)
		e := Endpoint{Host: "mail.test", Port: 993, Security: TLS, TLS: trusted(certificate), Families: families, Resolve: resolveTo(six, six2, four, four2)}
		dial := func(wantErr string, want ...netip.Addr) {
			t.Helper()
			e.Dial = tn.dial
			c, err := Dial(t.Context(), e, DefaultLimits, testTimeout)
			if err == nil {
				c.Close()
			}
			if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
				t.Errorf("error %v, want %q", err, wantErr)
			}
			if dialed := tn.forget(); !slices.Equal(dialed, want) {
				t.Errorf("dialed %v, want %v", dialed, want)
			}
		}
		dial("", six, four, six2, four2)
		e.Host = "Mail.Test"
		dial("", four, four2)
		// A certificate elsewhere is no reason to wait until a person has seen to it.
		tn.hosts[six], tn.hosts[six2], tn.hosts[four2] = mailServer(TLS, testCertificate(t)), refuse, refuse
		dial("connection refused", four, four2, six, six2)
		tn.hosts[six] = server
		dial("", four, four2, six)
		dial("", six)
		e.Port = 143
		dial("", six)
		for i := range maxHosts {
			families.remember(fmt.Sprint(i), true)
		}
		if len(families.v4) > maxHosts {
			t.Errorf("%d hosts are remembered", len(families.v4))
		}
	})
}

func manyAddresses(t *testing.T) {
	t.Parallel()
	var addrs []netip.Addr
	for a, i := six, 0; i < 10; a, i = a.Next(), i+1 {
		addrs = append(addrs, a, a)
	}
	for a, i := four, 0; i < 10; a, i = a.Next(), i+1 {
		addrs = append(addrs, a)
	}
	known := new(Families)
	known.remember("mail.test:993", true)
	for name, c := range map[string]struct {
		host     host
		families *Families
		dialed   int
		took     time.Duration
	}{
		"refusing":                    {refuse, nil, 2 * maxAddresses, 0},
		"refusing, in a known family": {refuse, known, 2 * maxAddresses, 0},
		"black holes":                 {blackHole, nil, 2 * maxAddresses, testTimeout},
		// Three addresses take 10 s each, the last 30 s.
		"silent": {says(""), nil, 4, 2 * testTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tn := &testNet{hosts: make(map[netip.Addr]host)}
				for _, a := range addrs {
					tn.hosts[a] = c.host
				}
				_, took, err := reached(t, tn, Endpoint{Host: "mail.test", Port: 993, Security: TLS, Families: c.families, Resolve: resolveTo(addrs...)})
				if err == nil || took != c.took {
					t.Errorf("%v after %v, want %v", err, took, c.took)
				}
				dialed := tn.forget()
				slices.SortFunc(dialed, netip.Addr.Compare)
				if len(slices.Compact(dialed)) != c.dialed {
					t.Errorf("dialed %v, want %d different ones", dialed, c.dialed)
				}
			})
		})
	}
}

func cancelAtAnyAddress(t *testing.T) {
	t.Parallel()
	for name, hosts := range map[string]map[netip.Addr]host{
		"both are black holes": {six: blackHole, four: blackHole},
		"both are silent":      {six: says(""), four: says("")},
		"one of each":          {six: blackHole, four: says("")},
	} {
		for _, after := range []time.Duration{100 * time.Millisecond, 5 * time.Second, 12 * time.Second} {
			t.Run(fmt.Sprint(name, " after ", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					enough := errors.New("enough")
					ctx, cancel := context.WithCancelCause(t.Context())
					time.AfterFunc(after, func() { cancel(enough) })
					tn := &testNet{hosts: hosts}
					began := time.Now()
					_, err := Dial(ctx, Endpoint{Host: "mail.test", Port: 993, Security: TLS, Resolve: resolveTo(six, four), Dial: tn.dial}, DefaultLimits, testTimeout)
					if !errors.Is(err, enough) || time.Since(began) != after {
						t.Errorf("%v after %v", err, time.Since(began))
					}
					if open := tn.open.Load(); open != 0 {
						t.Errorf("%d connections are open", open)
					}
				})
			})
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Dial(ctx, Endpoint{Host: "mail.test", Port: 993, Security: TLS, Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
		cancel()
		<-ctx.Done()
		return nil, &net.DNSError{Err: "cancelled", Name: "mail.test"}
	}}, DefaultLimits, realTimeout(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("while it resolves: %v", err)
	}
}

func unresolvedName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, resolve := range map[string]func(context.Context, string) ([]netip.Addr, error){
			"unknown": func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			},
			"empty": resolveTo(),
			// Three addresses take 10 s each, the last 30 s.
			"silent": func(ctx context.Context, _ string) ([]netip.Addr, error) {
				<-ctx.Done()
				return nil, &net.DNSError{Err: ctx.Err().Error(), IsTimeout: true}
			},
		} {
			began := time.Now()
			_, err := Dial(t.Context(), Endpoint{Host: "mail.test", Port: 993, Security: TLS, Resolve: resolve}, DefaultLimits, testTimeout)
			if _, ok := errors.AsType[*net.DNSError](err); !ok || time.Since(began) > testTimeout {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
	})
}

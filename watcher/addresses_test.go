package watcher

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
)

// A host is dialed first by the address family that worked before.
func TestAddressFamily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		six, four := netip.MustParseAddr("2001:db8::6"), netip.MustParseAddr("192.0.2.4")
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		var mu sync.Mutex
		var dialed []netip.Addr
		d := Dialer{
			Permit:  permitAll,
			resolve: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{six, four}, nil },
			Dial: func(ctx context.Context, address string) (net.Conn, error) {
				at := netip.MustParseAddrPort(address).Addr()
				mu.Lock()
				defer mu.Unlock()
				dialed = append(dialed, at)
				if at == four {
					return s.dial(ctx, address)
				}
				client, server := net.Pipe()
				go io.Copy(io.Discard, server)
				return client, nil
			},
		}
		expect := func(when string, want ...netip.Addr) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(dialed, want) {
				t.Errorf("%s: dialed %v, want %v", when, dialed, want)
			}
			dialed = nil
		}
		a := scriptedAccount
		a.Security = idlepush.SecurityPlain
		h := newHarness(t, a)

		pool := &Pool{Store: h.store.Mail, Dialer: d, Log: h.log}
		if _, err := pool.Check(t.Context(), h.account); err != nil {
			t.Fatal(err)
		}
		expect("a first check", six, four)
		if _, err := pool.Check(t.Context(), h.account); err != nil {
			t.Fatal(err)
		}
		expect("a second check", four)

		pool, end := h.watch(t, d)
		time.Sleep(time.Minute)
		expect("a first session", six, four)
		if live := pool.Live(h.account.ID); live.Connections != 1 {
			t.Errorf("%d connections", live.Connections)
		}
		if _, err := pool.Check(t.Context(), h.account); err != nil {
			t.Fatal(err)
		}
		expect("a check beside it", four)
		h.account.Password = "another"
		if _, err := h.store.Accounts.Update(h.account, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		expect("a second session", four)
		end()
		s.serving.Wait()
	})
}

package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"idlepush/netguard"
)

const (
	// stagger is how long an address may take to connect before the next one is tried beside it
	// (RFC 8305 section 5).
	stagger = 250 * time.Millisecond

	// maxAddresses is how many addresses of each family are tried in one Dial.
	maxAddresses = 4

	// maxHosts is how many hosts a Families remembers; with one more it starts over.
	maxHosts = 1024
)

// Families remembers by which family, IPv4 or IPv6, each host was last reached. The zero value is
// ready, nil remembers nothing. It may be used from several goroutines.
type Families struct {
	mu sync.Mutex
	v4 map[string]bool // by host and port, in lower case
}

func (f *Families) last(host string) (v4, known bool) {
	if f == nil {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v4, known = f.v4[strings.ToLower(host)]
	return v4, known
}

func (f *Families) remember(host string, v4 bool) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.v4 == nil || len(f.v4) >= maxHosts {
		f.v4 = make(map[string]bool)
	}
	f.v4[strings.ToLower(host)] = v4
}

// target is one address of an endpoint.
type target struct {
	address string // with the port
	v4      bool
	proven  bool // of the family by which the host was last reached
}

func (e Endpoint) address() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// targets returns the permitted addresses of Host in the order in which they are to be tried. The
// error is that of resolving, or where all are forbidden, that of Permit.
func (e Endpoint) targets(ctx context.Context, timeout time.Duration) ([]target, error) {
	if e.Dial != nil && e.Resolve == nil {
		return []target{{address: e.address()}}, nil
	}
	resolve := e.Resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host) // an address is its own
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addrs, err := resolve(ctx, e.Host)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var permitted []netip.Addr
	var why error
	for _, addr := range addrs {
		addr = addr.Unmap()
		if err := netguard.Permit(e.permit).Check(netguard.Target{Addr: netip.AddrPortFrom(addr, uint16(e.Port)), Plain: e.Security == None}); err != nil {
			why = err
		} else if !slices.Contains(permitted, addr) {
			permitted = append(permitted, addr)
		}
	}
	if len(permitted) == 0 {
		if why == nil {
			why = &net.DNSError{Err: "it has no address", Name: e.Host, IsNotFound: true}
		}
		return nil, fmt.Errorf("connect: %w", why)
	}
	v4, known := e.Families.last(e.address())
	var list []target
	for _, addr := range order(permitted, v4, known) {
		at := Endpoint{Host: addr.String(), Port: e.Port}
		list = append(list, target{at.address(), addr.Is4(), known && addr.Is4() == v4})
	}
	return list, nil
}

// permit asks Permit about an address of Host. Host is resolved once, so the target names the
// address instead.
func (e Endpoint) permit(t netguard.Target) error {
	if e.Permit == nil {
		return nil
	}
	t.Host = e.Host
	return e.Permit(t)
}

// order puts the family that is known to work first, v4 or the other. If neither is known the
// families take turns, that of the first address first (RFC 8305 section 4).
func order(addrs []netip.Addr, v4, known bool) []netip.Addr {
	if !known {
		v4 = addrs[0].Is4()
	}
	var first, other []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == v4 {
			first = append(first, addr)
		} else {
			other = append(other, addr)
		}
	}
	first, other = first[:min(len(first), maxAddresses)], other[:min(len(other), maxAddresses)]
	if known {
		return append(first, other...)
	}
	var turns []netip.Addr
	for i := range maxAddresses {
		turns = append(turns, first[min(i, len(first)):min(i+1, len(first))]...)
		turns = append(turns, other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return turns
}

// connect connects to the target that answers first. The next one is begun when those before it
// have failed or not answered within stagger. It returns the connection, its target and those that
// are left to be tried; no connection if all failed, within timeout. It adds their failures to
// failure.
func (e Endpoint) connect(ctx context.Context, targets []target, timeout time.Duration, failure *dialFailure) (net.Conn, target, []target) {
	type end struct {
		target
		conn net.Conn
		took time.Duration
		err  error
	}
	racing, stop := context.WithTimeout(ctx, timeout)
	ends := make(chan end, len(targets))
	var dials sync.WaitGroup
	defer func() {
		stop()
		dials.Wait()
		close(ends)
		for timedOut := range ends {
			if timedOut.conn != nil {
				timedOut.conn.Close()
			}
		}
	}()
	over := make(map[target]bool)
	begun := 0
	next := time.NewTimer(0)
	defer next.Stop()
	for len(over) < len(targets) {
		select {
		case <-next.C:
			at := targets[begun]
			dials.Go(func() {
				began := time.Now()
				conn, err := e.dial(racing, at.address)
				ends <- end{at, conn, time.Since(began), err}
			})
			if begun++; begun < len(targets) {
				next.Reset(stagger)
			}
		case o := <-ends:
			over[o.target] = true
			e.trace(Traced{Part: Connect, Address: o.address, Took: o.took, Err: o.err})
			if o.err == nil {
				return o.conn, o.target, slices.DeleteFunc(targets, func(t target) bool { return over[t] })
			}
			failure.unconnected(o.err, o.target)
			if begun < len(targets) {
				next.Reset(0)
			}
		}
	}
	return nil, target{}, nil
}

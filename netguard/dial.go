package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
)

// Target is one address that is about to be dialed.
type Target struct {
	Host  string // the name or address that was to be reached, before it was resolved
	Addr  netip.AddrPort
	Plain bool // the connection will not be encrypted
}

// Permit returns an error if the target must not be dialed. Allowed.Permit is one.
type Permit func(Target) error

// Check calls p with the address in its canonical form. The error is a *ForbiddenError.
func (p Permit) Check(t Target) error {
	t.Addr = netip.AddrPortFrom(Canonical(t.Addr.Addr()), t.Addr.Port())
	if err := p(t); err != nil {
		return &ForbiddenError{err}
	}
	return nil
}

// ForbiddenError reports a target that must not be dialed.
type ForbiddenError struct{ Err error }

// Error returns the text of Err, the reason.
func (e *ForbiddenError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ForbiddenError) Unwrap() error { return e.Err }

var errUnanswered = errors.New("no permitted address answered")

// A DialFunc connects to an address of a network, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Guard returns a DialFunc that dials as d does, but only addresses that permit allows. It checks
// each address at its socket, after the name was resolved and before the first packet. A
// name that resolves differently a moment later, or to several addresses, cannot get around that.
//
// The error holds a *ForbiddenError only if no address was permitted. d.Control is called for
// permitted addresses; d.ControlContext is not used.
func Guard(d net.Dialer, permit Permit, plain bool) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address) // DialContext reports a wrong address
		var tried atomic.Bool
		guarded := d
		guarded.ControlContext = func(_ context.Context, network, address string, raw syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return &ForbiddenError{err}
			}
			if err := permit.Check(Target{Host: host, Addr: at, Plain: plain}); err != nil {
				return err
			}
			tried.Store(true)
			if d.Control != nil {
				return d.Control(network, address, raw)
			}
			return nil
		}
		conn, err := guarded.DialContext(ctx, network, address)
		if _, forbidden := errors.AsType[*ForbiddenError](err); forbidden && tried.Load() {
			return nil, errUnanswered // net.Dialer returns only its first error
		}
		return conn, err
	}
}

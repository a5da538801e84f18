package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
)

// Permit returns an error if addr must not be dialed; plain reports that the connection will not be
// encrypted. Networks.Permit is one.
type Permit func(addr netip.Addr, plain bool) error

// Check calls p with addr in its canonical form. The error is a *ForbiddenError.
func (p Permit) Check(addr netip.Addr, plain bool) error {
	if err := p(Canonical(addr), plain); err != nil {
		return &ForbiddenError{err}
	}
	return nil
}

// ForbiddenError reports an address that must not be dialed.
type ForbiddenError struct{ Err error }

// Error returns the text of Err, the reason.
func (e *ForbiddenError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ForbiddenError) Unwrap() error { return e.Err }

var errUnanswered = errors.New("no permitted address answered")

// Guard returns a DialContext that dials as d does, but only addresses that permit allows. It
// checks each address at its socket, after the name was resolved and before the first packet. A
// name that resolves differently a moment later, or to several addresses, cannot get around that.
//
// The error holds a *ForbiddenError only if no address was permitted. d.Control is called for
// permitted addresses; d.ControlContext is not used.
func Guard(d net.Dialer, permit Permit, plain bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var tried atomic.Bool
		guarded := d
		guarded.ControlContext = func(_ context.Context, network, address string, raw syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return &ForbiddenError{err}
			}
			if err := permit.Check(at.Addr(), plain); err != nil {
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

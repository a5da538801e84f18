package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// dialFailure keeps the failure that tells most about the server, of those at its several
// addresses.
type dialFailure struct {
	err    error
	weight int
}

// How much a failure tells, the least first.
const (
	unreachable    = iota
	unanswered     // no connection in time
	refused        // somebody is there who does not want this
	broken         // a connection that was lost or silent
	noTLS          // or none that both sides speak
	noIMAP         // something else answers
	badCertificate // a server's, for all that is known
	provenMore     // added at an address by which the host was reached before
)

func (f *dialFailure) add(err error, weight int, at target) {
	if at.proven {
		weight += provenMore
	}
	if f.err == nil || weight > f.weight {
		f.err, f.weight = err, weight
	}
}

// unconnected adds that there was no connection.
func (f *dialFailure) unconnected(err error, at target) {
	timedOut, ok := errors.AsType[net.Error](err)
	switch {
	case ok && timedOut.Timeout():
		f.add(&TimeoutError{"the connection"}, unanswered, at)
	case errors.Is(err, syscall.ECONNREFUSED):
		f.add(fmt.Errorf("connect: %w", err), refused, at)
	default:
		f.add(fmt.Errorf("connect: %w", err), unreachable, at)
	}
}

// unopened adds why a connection could not be used.
func (f *dialFailure) unopened(err error, at target) {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, handshake := errors.AsType[*TLSError](err)
	_, protocol := errors.AsType[*ProtocolError](err)
	_, limit := errors.AsType[*LimitError](err)
	switch {
	case certificate:
		f.add(err, badCertificate, at)
	case protocol, limit:
		f.add(err, noIMAP, at)
	case handshake:
		f.add(err, noTLS, at)
	default:
		f.add(err, broken, at)
	}
}

// isAnswer reports whether the server itself has refused. Its other addresses would refuse as well.
func isAnswer(err error) bool {
	_, bye := errors.AsType[*ByeError](err)
	_, starttls := errors.AsType[*StartTLSError](err)
	return bye || starttls
}

package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// telling keeps of the failures at several addresses the one that tells most of the server.
type telling struct {
	err    error
	weight int
}

// What a failure tells, the least first.
const (
	unreachable    = iota
	unanswered     // no connection in time
	refused        // somebody is there who does not want this
	broken         // a connection that was lost or silent
	noTLS          // or none that both sides speak
	noIMAP         // something else answers
	badCertificate // a server's, for all that is known
	provenMore     // added where the host was last reached: there its server is
)

func (t *telling) add(err error, weight int, at target) {
	if at.proven {
		weight += provenMore
	}
	if t.err == nil || weight > t.weight {
		t.err, t.weight = err, weight
	}
}

// unconnected adds that there was no connection.
func (t *telling) unconnected(err error, at target) {
	late, ok := errors.AsType[net.Error](err)
	switch {
	case ok && late.Timeout():
		t.add(&TimeoutError{"the connection"}, unanswered, at)
	case errors.Is(err, syscall.ECONNREFUSED):
		t.add(fmt.Errorf("connect: %w", err), refused, at)
	default:
		t.add(fmt.Errorf("connect: %w", err), unreachable, at)
	}
}

// unopened adds why a connection could not be used.
func (t *telling) unopened(err error, at target) {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, handshake := errors.AsType[*TLSError](err)
	_, protocol := errors.AsType[*ProtocolError](err)
	_, limit := errors.AsType[*LimitError](err)
	switch {
	case certificate:
		t.add(err, badCertificate, at)
	case protocol, limit:
		t.add(err, noIMAP, at)
	case handshake:
		t.add(err, noTLS, at)
	default:
		t.add(err, broken, at)
	}
}

// isAnswer reports whether the server itself has said that it does not want this. Another of its
// addresses would say the same.
func isAnswer(err error) bool {
	_, bye := errors.AsType[*ByeError](err)
	_, starttls := errors.AsType[*StartTLSError](err)
	return bye || starttls
}

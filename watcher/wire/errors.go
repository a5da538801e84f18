package wire

import (
	"fmt"
	"os"

	"idlepush/netguard"
)

// LimitError means that the server sent more than Limits allows. The connection is over.
type LimitError struct {
	Limit string // line, literal, response, exchange or depth
	Max   int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the server sent more than the %s limit of %d allows", e.Limit, e.Max)
}

// ProtocolError means that the server sent something that IMAP does not allow and that cannot be
// passed over. The connection is over.
type ProtocolError struct {
	What string // fit to be shown
}

func (e *ProtocolError) Error() string { return "the server broke the protocol: " + e.What }

// ByeError is the server's BYE (RFC 3501 section 7.1.5). The connection is over.
type ByeError struct {
	Code string // response code without its arguments, upper case, or empty
	Text string // fit to be shown
}

func (e *ByeError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("the server ended the connection: [%s] %s", e.Code, e.Text)
	}
	return "the server ended the connection: " + e.Text
}

// TimeoutError means that the server did not answer within the timeout. The connection is over. It
// is an os.ErrDeadlineExceeded.
type TimeoutError struct {
	Waiting string // "the greeting", "the answer to SEARCH"
}

func (e *TimeoutError) Error() string {
	return "the server was silent: waited too long for " + e.Waiting
}

// Timeout is always true (net.Error).
func (e *TimeoutError) Timeout() bool { return true }

// Unwrap makes errors.Is find os.ErrDeadlineExceeded.
func (e *TimeoutError) Unwrap() error { return os.ErrDeadlineExceeded }

// TLSError is a handshake that failed: a certificate (it wraps a *tls.CertificateVerificationError
// then), an alert, or a server that does not speak TLS.
type TLSError struct {
	Err error
	At  netguard.Target // whose handshake it was
}

func (e *TLSError) Error() string { return "the TLS handshake failed: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TLSError) Unwrap() error { return e.Err }

// StartTLSError means that a connection could not be made secure: STARTTLS is not offered, was
// refused (it wraps an *imap.Error), or came with bytes behind it that an attacker may have put
// there (a *ProtocolError). No secret was sent.
type StartTLSError struct {
	Err error
}

func (e *StartTLSError) Error() string { return "STARTTLS is not possible: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StartTLSError) Unwrap() error { return e.Err }

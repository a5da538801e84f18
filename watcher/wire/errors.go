package wire

import (
	"fmt"
	"os"
)

// LimitError says that the server sent more than Limits allows. The connection is over.
type LimitError struct {
	Limit string // line, literal, response, exchange or depth
	Max   int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the server sent more than the %s limit of %d allows", e.Limit, e.Max)
}

// ProtocolError says that the server sent what IMAP does not allow and what cannot be passed over. The connection is over.
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

// TimeoutError says what did not come within the patience given. The connection is over. It is an os.ErrDeadlineExceeded.
type TimeoutError struct {
	Waiting string // what was waited for: "the greeting", "the answer to SEARCH"
}

func (e *TimeoutError) Error() string {
	return "the server was silent: waited too long for " + e.Waiting
}

// Timeout is always true (net.Error).
func (e *TimeoutError) Timeout() bool { return true }

// Unwrap makes errors.Is find os.ErrDeadlineExceeded.
func (e *TimeoutError) Unwrap() error { return os.ErrDeadlineExceeded }

// TLSError is a handshake that failed: a certificate (then a *tls.CertificateVerificationError lies within), an alert, or a server that does not
// speak TLS on this port (a tls.RecordHeaderError).
type TLSError struct {
	Err error
}

func (e *TLSError) Error() string { return "the TLS handshake failed: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TLSError) Unwrap() error { return e.Err }

// StartTLSError says that a connection could not be made secure: STARTTLS is not offered, was refused (an *imap.Error lies within), or came with
// bytes behind it that somebody may have put there (a *ProtocolError). Nothing secret was sent.
type StartTLSError struct {
	Err error
}

func (e *StartTLSError) Error() string { return "STARTTLS is not possible: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StartTLSError) Unwrap() error { return e.Err }

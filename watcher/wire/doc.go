// Package wire is an IMAP connection read one whole response at a time.
//
// A Conn reads the server's answers itself. It bounds each one before anything parses it and makes
// every deadline exact. It keeps the first cause of a failure, and collects the unsolicited
// responses in one place (News). Idle, which waits for mail, needs no goroutine but the caller's.
// LogIn logs in by go-imap's imapclient. Run sends commands together; what of the answers cannot be
// read is left out, and counted. FETCH and LIST have methods of their own, because servers answer
// them in many ways.
//
// A Conn belongs to one goroutine; the methods that may be called from others say so. The context
// given to Dial or New is the life of the connection: when it is cancelled, blocked methods return
// at once.
package wire

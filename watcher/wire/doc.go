// Package wire is an IMAP connection read one whole response at a time.
//
// A Conn reads the server's answers itself: it bounds each one before anybody parses it, keeps the first cause of a failure, makes every
// deadline exact, and notes in one place what the server says unasked (News). Waiting for mail (Idle) is its own and needs no goroutine but the
// caller's. So are FETCH and LIST, because servers answer them in many ways. Every other command goes
// through imapclient, which is lent the connection (Lend) and handed only whole responses that it can
// digest.
//
// A Conn belongs to one goroutine; the methods that may be called from others say so. The context given to Dial or New is the life of the
// connection: when it is cancelled, whatever waits ends at once.
package wire

// Package imaptest has an IMAP server for the tests and the selftest. A [Script] can misbehave in
// many ways. It runs in a synctest bubble.
package imaptest

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Script is an IMAP server with one mailbox. It keeps to the protocol unless its fields change
// that. Set them before Serve; Hostile holds ready-made oddities. The zero value works. It needs no
// network and no clock, so that it runs in a synctest bubble.
//
// It speaks IMAP4rev1 with IDLE as far as a watcher needs: CAPABILITY, STARTTLS, LOGIN,
// AUTHENTICATE, ID, LIST, STATUS, EXAMINE, UID SEARCH, UID FETCH, IDLE, NOOP, NOTIFY, LOGOUT.
type Script struct {
	Caps        string // default "IMAP4rev1 IDLE ID"
	UIDValidity uint32 // default 1000
	Messages    []Message
	TLS         *tls.Config // offers STARTTLS

	// User and Password are what LOGIN and AUTHENTICATE PLAIN must bring. Without a Password every
	// login is accepted.
	User, Password string

	// Opens reports whether a token that XOAUTH2 or OAUTHBEARER bring opens the mailbox of the
	// user; nil: each does. Reason is the JSON that the server sends before it refuses one, or "".
	Opens  func(user, token string) bool
	Reason string

	// On replaces the answer to a command ("LOGIN", "UID FETCH", "STARTTLS", "DONE") or the
	// greeting ("greeting"). "idling" follows an accepted IDLE, and "EXISTS", with the number of
	// mails, is the announcement of new mail. It may call Talk.Answer for the usual one, or change
	// the text of Talk.Usual.
	On map[string]func(t *Talk, args string)
	// At is called whenever a server may send something unsolicited: "before X", when command X has
	// come and nothing is sent; "within X", when all but the tagged OK is sent (of IDLE: when "+"
	// is sent); "after X". DONE counts as a command.
	At   func(t *Talk, moment string)
	Beat Beat
	// Mute makes it announce nothing: only a client that opens the mailbox anew sees new mail.
	Mute bool
	// NoNext leaves UIDNEXT out of the answer to EXAMINE.
	NoNext bool
	// Cut returns how many of the left bytes go out in one write; nil writes all at once.
	Cut func(left int) int
	// Coalesce holds all output back until the server waits for the client.
	Coalesce bool

	mu    sync.Mutex
	talks map[*Talk]bool
}

// Beat is what a Script does again and again while a client is in IDLE.
type Beat struct {
	Every time.Duration
	Do    func(t *Talk, n int) // n counts from 0 in each IDLE; nil: nothing
}

// Message is a mail in the mailbox of a Script.
type Message struct {
	UID   uint32 // 0 gets the next
	Flags string // such as `\Seen`
	// Header has CRLF line ends and the empty line, and %FOLDER% for the open folder. The default
	// is "Subject: <UID>".
	Header string
	Date   time.Time // INTERNALDATE; zero: long after a bubble begins
	Text   string
}

// Talk is one connection to a Script.
type Talk struct {
	Tag    string // of the command at hand
	script *Script
	conn   net.Conn
	lines  chan string
	secure chan struct{} // STARTTLS is done, read on
	quit   chan struct{}
	news   chan struct{} // look again; may be lost
	known  int           // messages announced
	folder string        // that is open; written under Script.mu
	unsaid []string      // to announce; an EXPUNGE takes one off known. Guarded by Script.mu
	idling bool

	mu    sync.Mutex // the reader says "+" to literals
	held  []byte
	aside bool // output is kept for Usual
	gone  bool
}

// Serve talks to one client until it or the script ends the connection, which is closed then.
// Several may run at a time.
func (s *Script) Serve(conn net.Conn) {
	t := &Talk{
		script: s, conn: conn, lines: make(chan string, 64), secure: make(chan struct{}), quit: make(chan struct{}), news: make(chan struct{}, 1),
	}
	s.mu.Lock()
	if s.talks == nil {
		s.talks = make(map[*Talk]bool)
	}
	s.talks[t] = true
	s.mu.Unlock()
	var reading sync.WaitGroup
	reading.Go(t.read)
	t.run()
	s.mu.Lock()
	delete(s.talks, t)
	s.mu.Unlock()
	close(t.quit)
	conn.Close()
	reading.Wait()
}

// ServeAll accepts and serves until the listener is closed and every client is gone.
func (s *Script) ServeAll(l net.Listener) {
	var talks sync.WaitGroup
	defer talks.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		talks.Go(func() { s.Serve(conn) })
	}
}

// Deliver puts a mail into the mailbox and announces it to every client in IDLE, to others with
// their next answer. It returns its UID.
func (s *Script) Deliver(m Message) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	uid := s.add(m)
	for t := range s.talks {
		select {
		case t.news <- struct{}{}:
		default:
		}
	}
	return uid
}

// Flag sets the flags of a mail and announces them to every client.
func (s *Script) Flag(uid uint32, flags string) {
	s.change(uid, func(i int) string {
		s.Messages[i].Flags = flags
		return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s))\r\n", i+1, uid, flags)
	})
}

// Remove removes a mail and tells every client so.
func (s *Script) Remove(uid uint32) {
	s.change(uid, func(i int) string {
		s.Messages = append(s.Messages[:i:i], s.Messages[i+1:]...)
		return fmt.Sprintf("* %d EXPUNGE\r\n", i+1)
	})
}

func (s *Script) change(uid uint32, f func(i int) (line string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.Messages {
		if m.UID != uid {
			continue
		}
		line := f(i)
		for t := range s.talks {
			if t.folder != "" {
				t.unsaid = append(t.unsaid, line)
			}
			select {
			case t.news <- struct{}{}:
			default:
			}
		}
		return
	}
}

// Renumber sets another UIDVALIDITY and other UIDs, and ends every connection.
func (s *Script) Renumber() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.UIDValidity++
	for i := range s.Messages {
		s.Messages[i].UID = uint32(i + 1)
	}
	for t := range s.talks {
		t.conn.Close()
	}
}

func (s *Script) add(m Message) uint32 {
	if m.UID == 0 {
		m.UID = s.uidNext()
	}
	s.Messages = append(s.Messages, m)
	return m.UID
}

func (s *Script) uidNext() uint32 {
	next := uint32(1)
	for _, m := range s.Messages {
		next = max(next, m.UID+1)
	}
	return next
}

// Deliver puts a mail into the mailbox and announces it on this connection at once.
func (t *Talk) Deliver(m Message) {
	t.script.mu.Lock()
	t.script.add(m)
	t.script.mu.Unlock()
	t.announce()
}

// announce sends the changes, and EXISTS if there is more than the client knows.
func (t *Talk) announce() {
	t.script.mu.Lock()
	n, unsaid := len(t.script.Messages), t.unsaid
	t.unsaid = nil
	t.script.mu.Unlock()
	for _, line := range unsaid {
		t.Say("%s", line)
		if strings.HasSuffix(line, " EXPUNGE\r\n") {
			t.known--
		}
	}
	if n != t.known {
		t.known = n
		t.do("EXISTS", strconv.Itoa(n))
	}
}

// Say sends what format and args make, as it is. It reports whether the client is still there.
func (t *Talk) Say(format string, args ...any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = fmt.Appendf(t.held, format, args...)
	if !t.script.Coalesce || len(t.held) > 1<<16 {
		t.flush()
	}
	return !t.gone
}

// Usual returns the usual answer to a command, with its tagged line, and sends nothing. It is
// not for commands that wait for a further line: IDLE, STARTTLS and AUTHENTICATE.
func (t *Talk) Usual(name, args string) string {
	setAside := func(on bool, held []byte) (before []byte) {
		t.mu.Lock()
		defer t.mu.Unlock()
		before, t.held, t.aside = t.held, held, on
		return before
	}
	before := setAside(true, nil)
	t.Answer(name, args)
	return string(setAside(false, before))
}

func (t *Talk) flush() {
	if t.aside {
		return
	}
	for len(t.held) > 0 && !t.gone {
		n := len(t.held)
		if t.script.Cut != nil {
			n = min(max(t.script.Cut(n), 1), n)
		}
		_, err := t.conn.Write(t.held[:n])
		t.gone = err != nil
		t.held = t.held[n:]
	}
	t.held = nil
}

// OK ends the command at hand.
func (t *Talk) OK(text string) { t.Say("%s OK %s\r\n", t.Tag, text) }

// Silence says nothing more and reads on until the client goes. Not within STARTTLS: there, return
// without an answer.
func (t *Talk) Silence() {
	for _, ok := t.line(); ok; _, ok = t.line() {
	}
}

// EndIdle takes the client out of IDLE from the server's side: the script has said its OK, and
// takes the next line for a command.
func (t *Talk) EndIdle() { t.idling = false }

// Bye says BYE and closes.
func (t *Talk) Bye(text string) {
	t.Say("* BYE %s\r\n", text)
	t.Close()
}

// Close ends the connection.
func (t *Talk) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	t.gone = true
	t.conn.Close()
}

// line waits for the client's next line.
func (t *Talk) line() (string, bool) {
	t.mu.Lock()
	t.flush()
	t.mu.Unlock()
	line, ok := <-t.lines
	return line, ok
}

// Line waits for the client's next line, without its end; "" when the client is gone.
func (t *Talk) Line() string {
	line, _ := t.line()
	return line
}

func (t *Talk) run() {
	t.do("greeting", "")
	for {
		line, ok := t.line()
		if !ok {
			return
		}
		tag, name, args := cutCommand(line)
		t.Tag = tag
		t.at("before " + name)
		t.do(name, args)
		if name == "STARTTLS" {
			t.secure <- struct{}{}
		}
		t.at("after " + name)
	}
}

func (t *Talk) at(moment string) {
	if t.script.At != nil {
		t.script.At(t, moment)
	}
}

func (t *Talk) do(name, args string) {
	if on, ok := t.script.On[name]; ok {
		on(t, args)
		return
	}
	t.Answer(name, args)
}

// Pipe serves a client over net.Pipe in a goroutine of wg.
func (s *Script) Pipe(wg *sync.WaitGroup) net.Conn {
	client, server := net.Pipe()
	wg.Go(func() { s.Serve(server) })
	return client
}

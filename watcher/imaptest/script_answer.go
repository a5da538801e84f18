package imaptest

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Answer sends the usual answer to a command, or greets.
func (t *Talk) Answer(name, args string) {
	s := t.script
	switch name {
	case "greeting":
		t.Say("* OK [CAPABILITY %s] ready\r\n", s.caps(t))
		return
	case "STARTTLS":
		t.startTLS()
		return
	case "IDLE":
		t.idle()
		return
	case "idling":
		return
	case "LOGOUT":
		t.Say("* BYE see you\r\n%s OK done\r\n", t.Tag)
		t.Close()
		return
	case "EXISTS":
		t.Say("* %s EXISTS\r\n", args)
		return
	case "LOGIN", "AUTHENTICATE":
		if !t.logIn(name, args) {
			t.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", t.Tag)
			return
		}
	case "CAPABILITY":
		t.Say("* CAPABILITY %s\r\n", s.caps(t))
	case "ID":
		t.Say("* ID (\"name\" \"script\")\r\n")
	case "LIST":
		t.Say("* LIST () \"/\" INBOX\r\n")
		if strings.Contains(strings.ToUpper(args), "STATUS") {
			t.status("INBOX")
		}
	case "STATUS":
		mailbox, _, _ := strings.Cut(args, " (")
		t.status(mailbox)
	case "EXAMINE", "SELECT":
		t.script.mu.Lock()
		t.folder = strings.Trim(args, `"`)
		t.script.mu.Unlock()
		t.examine()
		return
	case "UID SEARCH":
		t.search(args)
	case "UID FETCH":
		t.fetch(args)
	case "NOOP", "NOTIFY", "UNSELECT", "CLOSE":
	default:
		t.Say("%s BAD unknown command\r\n", t.Tag)
		return
	}
	t.at("within " + name)
	if name != "LOGIN" && name != "AUTHENTICATE" && t.known > 0 && !t.script.Mute {
		t.announce()
	}
	t.OK("done")
}

// logIn reads the arguments of LOGIN, or those of AUTHENTICATE and what follows them, and reports
// whether they bring the script's user and password, or a token that it takes.
func (t *Talk) logIn(name, args string) bool {
	var user, password string
	if name == "LOGIN" {
		user, args = cutString(args)
		password, _ = cutString(strings.TrimPrefix(args, " "))
	} else {
		mechanism, response, given := strings.Cut(args, " ")
		if !given {
			t.Say("+ \r\n")
			response = t.Line()
		}
		if _, ok := bearerForms[mechanism]; ok {
			return t.logInByToken(mechanism, response)
		}
		plain, _ := base64.StdEncoding.DecodeString(response)
		_, both, _ := strings.Cut(string(plain), "\x00") // in whose name: RFC 4616 section 2
		user, password, _ = strings.Cut(both, "\x00")
	}
	return t.script.Password == "" || user == t.script.User && password == t.script.Password
}

func (s *Script) caps(t *Talk) string {
	caps := cmp.Or(s.Caps, "IMAP4rev1 IDLE ID")
	if _, secure := t.conn.(*tls.Conn); s.TLS != nil && !secure {
		caps += " STARTTLS"
	}
	return caps
}

// startTLS answers, reads no more plain text, and goes on encrypted.
func (t *Talk) startTLS() {
	if t.script.TLS == nil {
		t.Say("%s BAD unknown command\r\n", t.Tag)
		return
	}
	t.OK("begin")
	t.Encrypt()
}

// Encrypt does the server's part of the handshake and goes on encrypted. It belongs behind an OK to
// STARTTLS.
func (t *Talk) Encrypt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	secure := tls.Server(t.conn, t.script.TLS)
	if err := secure.Handshake(); err != nil {
		t.gone = true
		t.conn.Close()
		return
	}
	t.conn = secure
}

func (t *Talk) status(mailbox string) {
	s := t.script
	s.mu.Lock()
	n, next, unseen, validity := len(s.Messages), s.uidNext(), 0, cmp.Or(s.UIDValidity, 1000)
	for _, m := range s.Messages {
		if !strings.Contains(m.Flags, `\Seen`) {
			unseen++
		}
	}
	s.mu.Unlock()
	t.Say("* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d)\r\n", mailbox, n, next, validity, unseen)
}

func (t *Talk) examine() {
	s := t.script
	s.mu.Lock()
	n, next, validity := len(s.Messages), s.uidNext(), cmp.Or(s.UIDValidity, 1000)
	t.unsaid = nil
	s.mu.Unlock()
	t.known = n
	t.Say("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* OK [PERMANENTFLAGS ()] read-only\r\n* %d EXISTS\r\n* 0 RECENT\r\n", n)
	t.Say("* OK [UIDVALIDITY %d] valid\r\n", validity)
	if !s.NoNext {
		t.Say("* OK [UIDNEXT %d] next\r\n", next)
	}
	t.at("within EXAMINE")
	t.OK("[READ-ONLY] done")
}

// idle stays until DONE and announces the mail that comes meanwhile.
func (t *Talk) idle() {
	tag := t.Tag
	t.idling = true
	t.Say("+ idling\r\n")
	t.do("idling", "")
	t.at("within IDLE")
	beat, stop, n := t.beats()
	defer stop()
	for t.idling {
		if !t.script.Mute {
			t.announce()
		}
		t.mu.Lock()
		t.flush()
		t.mu.Unlock()
		select {
		case <-t.news:
		case <-beat:
			t.script.Beat.Do(t, n)
			n++
		case line, ok := <-t.lines:
			if !ok {
				return
			}
			t.Tag = tag
			if !strings.EqualFold(line, "DONE") {
				t.Say("* BAD only DONE may be said now\r\n")
				continue
			}
			t.at("within DONE")
			if on, ok := t.script.On["DONE"]; ok {
				on(t, "")
			} else {
				t.OK("done")
			}
			t.at("after DONE")
			return
		}
	}
}

func (t *Talk) beats() (beat <-chan time.Time, stop func(), n int) {
	if t.script.Beat.Do == nil {
		return nil, func() {}, 0
	}
	ticker := time.NewTicker(t.script.Beat.Every)
	return ticker.C, ticker.Stop, 0
}

// search answers what asks for UIDs, UNSEEN and UNDELETED; every other key is taken as met.
func (t *Talk) search(args string) {
	set := "1:*"
	upper := strings.ToUpper(args)
	fields := strings.Fields(strings.Trim(upper, "()"))
	for i, field := range fields {
		if field == "UID" && i+1 < len(fields) {
			set = fields[i+1]
		}
	}
	since := time.Time{}
	if _, day, ok := strings.Cut(args, `SINCE "`); ok {
		day, _, _ = strings.Cut(day, `"`)
		since, _ = time.Parse("2-Jan-2006", day)
	}
	var found strings.Builder
	for _, m := range t.selected(set) {
		unasked := func(key, flag string) bool { return strings.Contains(upper, key) && strings.Contains(m.Flags, flag) }
		if !unasked("UNSEEN", `\Seen`) && !unasked("UNDELETED", `\Deleted`) && !m.received().Before(since) {
			fmt.Fprintf(&found, " %d", m.UID)
		}
	}
	t.Say("* SEARCH%s\r\n", found.String())
}

// numbered is a message with its sequence number.
type numbered struct {
	Message
	seq int
}

// selected returns the messages in a UID set. As RFC 3501 wants it, "*" is the highest UID, and n:*
// holds that also when it is below n.
func (t *Talk) selected(set string) []numbered {
	s := t.script
	s.mu.Lock()
	defer s.mu.Unlock()
	var highest uint32
	for _, m := range s.Messages {
		highest = max(highest, m.UID)
	}
	number := func(word string) uint32 {
		if word == "*" {
			return highest
		}
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return math.MaxUint32
		}
		return uint32(n)
	}
	var found []numbered
	for i, m := range s.Messages[:min(t.known, len(s.Messages))] {
		for part := range strings.SplitSeq(set, ",") {
			from, to, ok := strings.Cut(part, ":")
			if !ok {
				to = from
			}
			low, high := min(number(from), number(to)), max(number(from), number(to))
			if low <= m.UID && m.UID <= high {
				found = append(found, numbered{m, i + 1})
				break
			}
		}
	}
	return found
}

// fetch answers the items that a watcher asks for; an unknown one is left out.
func (t *Talk) fetch(args string) {
	set, items, _ := strings.Cut(args, " ")
	for _, m := range t.selected(set) {
		m.Header = strings.ReplaceAll(m.Header, "%FOLDER%", t.folder)
		t.Say("* %d FETCH (%s)\r\n", m.seq, m.items(items))
	}
}

// received returns the INTERNALDATE of a message.
func (m Message) received() time.Time {
	if m.Date.IsZero() {
		return time.Date(2026, 7, 17, 2, 44, 25, 0, time.UTC)
	}
	return m.Date
}

func (m numbered) items(items string) string {
	said := []string{fmt.Sprintf("UID %d", m.UID)}
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	header := cmp.Or(m.Header, fmt.Sprintf("Subject: %d\r\n\r\n", m.UID))
	upper := strings.ToUpper(items)
	if strings.Contains(upper, "FLAGS") {
		say("FLAGS (%s)", m.Flags)
	}
	if strings.Contains(upper, "INTERNALDATE") {
		say(`INTERNALDATE "%s"`, m.received().Format("02-Jan-2006 15:04:05 -0700"))
	}
	if strings.Contains(upper, "RFC822.SIZE") {
		say("RFC822.SIZE %d", len(header)+len(m.Text))
	}
	for rest := items; ; {
		_, section, ok := strings.Cut(rest, "BODY.PEEK[")
		if !ok {
			break
		}
		section, rest, _ = strings.Cut(section, "]")
		content := header + m.Text
		switch {
		case strings.HasPrefix(strings.ToUpper(section), "HEADER"):
			content = header
		case strings.EqualFold(section, "TEXT"):
			content = m.Text
		}
		origin := ""
		if partial, ok := strings.CutPrefix(rest, "<0."); ok {
			size, _, _ := strings.Cut(partial, ">")
			if n, err := strconv.Atoi(size); err == nil {
				content, origin = content[:min(n, len(content))], "<0>"
			}
		}
		say("BODY[%s]%s {%d}\r\n%s", section, origin, len(content), content)
	}
	return strings.Join(said, " ")
}

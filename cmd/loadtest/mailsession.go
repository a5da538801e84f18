//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mailSession is one connection to the mail server.
type mailSession struct {
	server *mailServer
	conn   *tls.Conn
	in     *bufio.Reader
	out    bytes.Buffer // the answer to the command that runs
	user   string
	box    *mailbox // nil: not logged in
	ready  bool     // it has come to IDLE

	// The fields below are guarded by mu of box.
	idling bool
	told   int // of so many mails
}

const capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN IDLE ID LITERAL+ UIDPLUS NAMESPACE SPECIAL-USE"

// run serves until the connection is over.
func (m *mailSession) run() {
	defer func() {
		if m.ready {
			m.server.ready.Add(-1)
		}
	}()
	m.in = bufio.NewReaderSize(m.conn, 1024)
	if _, err := fmt.Fprintf(m.conn, "* OK [CAPABILITY %s] ready\r\n", capabilities); err != nil {
		return
	}
	for goesOn := true; goesOn; {
		line, err := m.in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		name, args, _ := strings.Cut(command, " ")
		if name = strings.ToUpper(name); name == "IDLE" {
			goesOn = m.idle(tag)
			continue
		}
		m.out.Reset()
		goesOn = m.answer(tag, name, args)
		if _, err := m.conn.Write(m.out.Bytes()); err != nil {
			return
		}
	}
}

func (m *mailSession) say(format string, args ...any) { fmt.Fprintf(&m.out, format+"\r\n", args...) }

// answer writes the answer to a command to out. It reports whether the session goes on.
func (m *mailSession) answer(tag, name, args string) bool {
	ok := "done"
	switch name {
	case "CAPABILITY":
		m.say("* CAPABILITY %s", capabilities)
	case "LOGIN":
		user, _, _ := strings.Cut(args, " ")
		ok = m.logIn(strings.Trim(user, `"`))
	case "AUTHENTICATE":
		user, err := m.plain(args)
		if err != nil {
			return false
		}
		ok = m.logIn(user)
	case "ID":
		m.say(`* ID ("name" "loadtest")`)
	case "LIST":
		m.say(`* LIST (\HasNoChildren) "/" INBOX`)
	case "NOOP":
	case "LOGOUT":
		m.say("* BYE")
		m.say("%s OK done", tag)
		return false
	default:
		if m.box == nil || !m.inFolder(name, args) {
			m.say("%s BAD not known here", tag)
			return true
		}
		if name == "EXAMINE" {
			ok = "[READ-ONLY] done"
		}
	}
	m.say("%s OK %s", tag, ok)
	return true
}

func (m *mailSession) logIn(user string) (ok string) {
	m.user, m.box = user, m.server.mailbox(user)
	m.box.mu.Lock()
	defer m.box.mu.Unlock()
	m.box.session = m
	return "[CAPABILITY " + capabilities + "] done"
}

// plain returns the user name of AUTHENTICATE PLAIN.
func (m *mailSession) plain(args string) (user string, err error) {
	_, response, initial := strings.Cut(args, " ")
	if !initial {
		if _, err := m.conn.Write([]byte("+ \r\n")); err != nil {
			return "", err
		}
		if response, err = m.in.ReadString('\n'); err != nil {
			return "", err
		}
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(response))
	if err != nil {
		return "", err
	}
	parts := strings.Split(string(text), "\x00")
	if len(parts) != 3 {
		return "", fmt.Errorf("a PLAIN response of %d parts", len(parts))
	}
	return parts[1], nil
}

// inFolder writes the answer to a command about the INBOX, and reports whether it knows it.
func (m *mailSession) inFolder(name, args string) bool {
	mails := m.mails(name == "EXAMINE")
	switch name {
	case "EXAMINE":
		m.say(`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)`)
		m.say("* %d EXISTS", mails)
		m.say("* 0 RECENT")
		m.say("* OK [UIDVALIDITY 1] it is")
		m.say("* OK [UIDNEXT %d] it is", mails+1)
	case "STATUS":
		m.say("* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 1 UNSEEN %d)", mails, mails+1, mails-oldMails)
	case "UID":
		name, args, _ = strings.Cut(args, " ")
		switch strings.ToUpper(name) {
		case "SEARCH":
			m.search(args, mails)
		case "FETCH":
			set, items, _ := strings.Cut(args, " ")
			for _, uid := range uidsOf(set, mails) {
				m.fetch(uid, items)
			}
		default:
			return false
		}
	default:
		return false
	}
	return true
}

// mails returns how many mails there are. told: the client learns it.
func (m *mailSession) mails(told bool) int {
	m.box.mu.Lock()
	defer m.box.mu.Unlock()
	if told {
		m.told = m.box.mails
	}
	return m.box.mails
}

// search answers a SEARCH for UIDs. One with SINCE looks for old mail, and finds none.
func (m *mailSession) search(criteria string, mails int) {
	m.out.WriteString("* SEARCH")
	words := strings.Fields(criteria)
	for i, word := range words {
		if word == "UID" && i+1 < len(words) && !strings.Contains(criteria, "SINCE") {
			for _, uid := range uidsOf(words[i+1], mails) {
				fmt.Fprintf(&m.out, " %d", uid)
			}
		}
	}
	m.say("")
}

// uidsOf returns those of a set that a folder with so many mails has.
func uidsOf(set string, mails int) (uids []int) {
	number := func(text string) int {
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
		return mails // "*"
	}
	for part := range strings.SplitSeq(set, ",") {
		from, to, isRange := strings.Cut(part, ":")
		first, last := number(from), number(from)
		if isRange {
			first, last = min(first, number(to)), max(first, number(to))
		}
		for uid := max(first, 1); uid <= min(last, mails); uid++ {
			uids = append(uids, uid)
		}
	}
	return uids
}

const mailText = "Hello Bob,\r\n\r\nwe thought of six on Sunday, if the train is on time. Bring the book that you told us of,\r\nand tell the children that the cat is well.\r\n\r\nAnn\r\n"

// fetch writes one mail, with the requested items.
func (m *mailSession) fetch(uid int, items string) {
	now := time.Now()
	header := fmt.Sprintf("From: Ann Example <ann@example.org>\r\nSubject: Dinner on Sunday? %d\r\nDate: %s\r\nMessage-ID: <%d.%s@example.org>\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n", uid, now.Format(time.RFC1123Z), uid, m.user)
	fmt.Fprintf(&m.out, `* %d FETCH (UID %d FLAGS () INTERNALDATE "%s" RFC822.SIZE %d`, uid, uid, now.Format("02-Jan-2006 15:04:05 -0700"), len(header)+len(mailText))
	if at := strings.Index(items, "[HEADER.FIELDS"); at >= 0 {
		section, _, _ := strings.Cut(items[at:], "]")
		fmt.Fprintf(&m.out, " BODY%s] {%d}\r\n%s", section, len(header), header)
	}
	if strings.Contains(items, "[TEXT]") {
		fmt.Fprintf(&m.out, " BODY[TEXT]<0> {%d}\r\n%s", len(mailText), mailText)
	}
	m.say(")")
}

// idle serves an IDLE until the client ends it. It reports whether the session goes on.
func (m *mailSession) idle(tag string) bool {
	if m.box == nil {
		return false
	}
	m.box.mu.Lock()
	_, err := m.conn.Write([]byte("+ idling\r\n"))
	if m.idling = true; m.told < m.box.mails {
		m.box.tell()
	}
	m.box.mu.Unlock()
	if !m.ready {
		m.ready = true
		m.server.ready.Add(1)
	}
	m.server.idle.Add(1)
	defer m.server.idle.Add(-1)
	var line string
	if err == nil {
		line, err = m.in.ReadString('\n')
	}
	m.box.mu.Lock()
	m.idling = false
	m.box.idles++
	m.box.mu.Unlock()
	if err != nil || strings.TrimSpace(line) != "DONE" {
		return false
	}
	_, err = fmt.Fprintf(m.conn, "%s OK done\r\n", tag)
	return err == nil
}

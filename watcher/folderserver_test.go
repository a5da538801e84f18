package watcher

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

// delays delivers messages to a folder, one in every such time, and returns the longest time from
// a delivery to its notification.
func (s *folderServer) delays(t *testing.T, h *harness, folder string, count int, every time.Duration) (worst time.Duration) {
	t.Helper()
	for n := range count {
		began, before := time.Now(), len(h.mails(t))
		s.deliver(folder, subject(fmt.Sprint("measured ", folder, began.UnixNano())), began)
		time.Sleep(every)
		synctest.Wait()
		got := h.mails(t)
		if len(got) != before+1 {
			t.Fatalf("mail %d of %d was not notified after %v", n+1, count, every)
		}
		worst = max(worst, got[len(got)-1].At.Sub(began))
	}
	return worst
}

// folderServer is a mail server in memory with several folders, which imaptest's one-folder scripts
// cannot play. It keeps to the protocol, unless refuse returns another answer. It is its own
// network and needs no clock, so that it runs in a bubble.
type folderServer struct {
	caps   string
	cut    time.Duration // after so much silence in IDLE the connection ends; 0: never
	noNext bool          // it does not send UIDNEXT
	proven bool          // its IDLE is known to report new mail
	// refuse returns another answer than the usual, in which TAG stands for the tag; "": the usual.
	refuse func(folder, command, args string) (answer string)

	mu       sync.Mutex // guards all below
	folders  map[string]*serverFolder
	waiting  map[chan string]string // the folder of a client in IDLE, by the channel for its news
	commands []string
	notify   bool // it was sent on the last connection
	serving  sync.WaitGroup
}

// serverFolder is one folder.
type serverFolder struct {
	validity, next uint32
	mails          []imaptest.Message
	seen           bool // all of them are \Seen
}

func newFolderServer(caps string, folders ...string) *folderServer {
	s := &folderServer{caps: caps, folders: make(map[string]*serverFolder), waiting: make(map[chan string]string)}
	for _, f := range folders {
		s.folders[f] = &serverFolder{validity: 1000, next: 1}
	}
	return s
}

// watched runs a pool for an account with these folders, all of them seen when they were empty.
func (s *folderServer) watched(t *testing.T, folders ...string) (h *harness, stop func()) {
	t.Helper()
	a := scriptedAccount
	a.Folders, a.Security = folders, idlepush.SecurityPlain
	h = newHarness(t, a)
	if s.proven {
		h.trustIdle(t)
	}
	for _, f := range folders {
		if _, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: f, At: time.Now(), To: registry.Cursor{UIDValidity: 1000, Next: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	_, end := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
	time.Sleep(time.Minute)
	return h, func() {
		end()
		s.serving.Wait()
	}
}

// deliver adds a message to a folder, with the date as INTERNALDATE, and announces it.
func (s *folderServer) deliver(folder, header string, date time.Time) {
	s.put(folder, imaptest.Message{Header: header, Date: date})()
}

// put adds a message to a folder. The returned function announces it.
func (s *folderServer) put(folder string, m imaptest.Message) (announce func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[folder]
	m.UID = f.next
	f.mails = append(f.mails, m)
	f.next++
	return func() { s.announce(folder) }
}

// announce tells clients in IDLE how many messages the folder has.
func (s *folderServer) announce(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[folder]
	for tell, open := range s.waiting {
		switch {
		case open == folder:
			tell <- fmt.Sprintf("* %d EXISTS\r\n", len(f.mails))
		case s.notify:
			tell <- fmt.Sprintf("* STATUS %q (MESSAGES %d UIDNEXT %d)\r\n", folder, len(f.mails), f.next)
		}
	}
}

// remove expunges a message of a folder and announces that.
func (s *folderServer) remove(folder string, uid uint32) (m imaptest.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[folder]
	i := slices.IndexFunc(f.mails, func(m imaptest.Message) bool { return m.UID == uid })
	m = f.mails[i]
	f.mails = slices.Delete(f.mails, i, i+1)
	s.tell(folder, fmt.Sprintf("* %d EXPUNGE\r\n", i+1))
	return m
}

// tell sends a line to the clients that are in IDLE in the folder. s.mu is locked.
func (s *folderServer) tell(folder, line string) {
	for tell, open := range s.waiting {
		if open == folder {
			tell <- line
		}
	}
}

// asked counts the commands that begin with prefix.
func (s *folderServer) asked(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.commands {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

func (s *folderServer) dial(context.Context, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.serving.Go(func() { s.serve(server) })
	return client, nil
}

func (s *folderServer) serve(conn net.Conn) {
	lines := make(chan string, 64)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(lines)
		in := bufio.NewScanner(conn)
		for in.Scan() {
			lines <- in.Text()
		}
	})
	defer reading.Wait()
	defer conn.Close()
	say := func(text string) { conn.Write([]byte(text)) }
	say("* OK [CAPABILITY " + s.caps + "] ready\r\n")
	folder := ""
	for line := range lines {
		tag, command, args := splitLine(line)
		s.mu.Lock()
		s.commands = append(s.commands, command+" "+args)
		if command == "LOGIN" {
			s.notify = false
		}
		s.mu.Unlock()
		answer := ""
		if s.refuse != nil {
			answer = s.refuse(folder, command, args)
		}
		switch {
		case answer != "":
			say(strings.ReplaceAll(answer, "TAG", tag))
		case command == "IDLE":
			if !s.idle(folder, lines, say) {
				return
			}
			say(tag + " OK done\r\n")
		default:
			say(s.answer(&folder, tag, command, args))
		}
		if strings.HasPrefix(answer, "* BYE") {
			return
		}
	}
}

// splitLine splits a client's line; of UID FETCH both words are the command.
func splitLine(line string) (tag, command, args string) {
	tag, line, _ = strings.Cut(line, " ")
	command, args, _ = strings.Cut(line, " ")
	if command == "UID" {
		second, rest, _ := strings.Cut(args, " ")
		return tag, "UID " + second, rest
	}
	return tag, command, args
}

// idle reports news until DONE. It returns false if the client is gone.
func (s *folderServer) idle(folder string, lines <-chan string, say func(string)) bool {
	tell := make(chan string, 4096)
	s.mu.Lock()
	s.waiting[tell] = folder
	if f := s.folders[folder]; f != nil {
		tell <- fmt.Sprintf("* %d RECENT\r\n", len(f.mails))
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, tell)
		s.mu.Unlock()
		for len(tell) > 0 {
			say(<-tell)
		}
	}()
	say("+ idling\r\n")
	var silent <-chan time.Time
	if s.cut > 0 {
		silent = time.After(s.cut)
	}
	for {
		select {
		case <-silent:
			return false
		case line := <-tell:
			say(line)
		case _, ok := <-lines:
			return ok
		}
	}
}

func (s *folderServer) answer(folder *string, tag, command, args string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok, gone := tag+" OK done\r\n", tag+" NO [NONEXISTENT] no such folder\r\n"
	named := func(name string) (*serverFolder, string) {
		name = strings.Trim(name, `"`)
		return s.folders[name], name
	}
	next := func(f *serverFolder) string {
		if s.noNext {
			return ""
		}
		return fmt.Sprintf(" UIDNEXT %d", f.next)
	}
	switch command {
	case "NOTIFY":
		s.notify = true
	case "CAPABILITY":
		return "* CAPABILITY " + s.caps + "\r\n" + ok
	case "EXAMINE":
		f, name := named(args)
		if *folder = name; f == nil {
			*folder = ""
			return gone
		}
		answer := fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY %d] valid\r\n", len(f.mails), f.validity)
		if !s.noNext {
			answer += "* OK [" + strings.TrimSpace(next(f)) + "] next\r\n"
		}
		return answer + ok
	case "STATUS":
		name, _, _ := strings.Cut(args, " (")
		f, name := named(name)
		if f == nil {
			return gone
		}
		unseen := len(f.mails)
		if f.seen {
			unseen = 0
		}
		return fmt.Sprintf("* STATUS %q (MESSAGES %d%s UIDVALIDITY %d UNSEEN %d)\r\n", name, len(f.mails), next(f), f.validity, unseen) + ok
	case "UID SEARCH":
		answer := "* SEARCH"
		for _, m := range s.in(*folder, args) {
			if !s.folders[*folder].seen || !strings.Contains(args, "UNSEEN") {
				answer += fmt.Sprint(" ", m.UID)
			}
		}
		return answer + "\r\n" + ok
	case "UID FETCH":
		answer := ""
		for _, m := range s.in(*folder, "UID "+args) {
			answer += fmt.Sprintf("* 1 FETCH (UID %d FLAGS (%s) INTERNALDATE \"%s\" RFC822.SIZE %d BODY[HEADER.FIELDS (X)] {%d}\r\n%s)\r\n", m.UID, m.Flags,
				m.Date.Format("02-Jan-2006 15:04:05 -0700"), len(m.Header), len(m.Header), m.Header)
		}
		return answer + ok
	}
	return ok
}

// in returns the mails of a folder in the set behind UID.
func (s *folderServer) in(folder, args string) (list []imaptest.Message) {
	_, set, _ := strings.Cut(args, "UID ")
	set, _, _ = strings.Cut(strings.TrimLeft(set, "("), " ")
	f := s.folders[folder]
	if f == nil {
		return nil
	}
	if set == "*" && len(f.mails) > 0 {
		return f.mails[len(f.mails)-1:]
	}
	for _, m := range f.mails {
		for part := range strings.SplitSeq(strings.Trim(set, "()"), ",") {
			var from, to uint32
			if n, _ := fmt.Sscanf(part, "%d:%d", &from, &to); n < 2 {
				fmt.Sscanf(part, "%d", &from)
				if to = from; strings.HasSuffix(part, ":*") {
					to = f.next
				}
			}
			if from <= m.UID && m.UID <= to {
				list = append(list, m)
				break
			}
		}
	}
	return list
}

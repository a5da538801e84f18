package wire

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// byeGrace is how long an answer is waited for after BYE: it may come behind it, and explain it.
const byeGrace = 2 * time.Second

// Command is a command for Run.
type Command struct {
	Err error // why the server refused it, an *imap.Error, or why there is no answer

	name, text string          // as errors name it, and as it is sent
	tag        string          // empty: it waits for no answer
	take       func(*response) // takes in the responses until the command is answered; nil: none
}

// Search makes a UID SEARCH (RFC 3501 section 6.4.8). found gets the UIDs, in order, each once.
func Search(criteria string, found *[]imap.UID) *Command {
	cmd := &Command{name: "SEARCH", text: "UID SEARCH " + criteria}
	cmd.take = func(r *response) {
		switch {
		case r.tag == cmd.tag:
			slices.Sort(*found)
			*found = slices.Compact(*found)
		case r.kind == "SEARCH":
			if uids, ok := searched(r); ok {
				*found = append(*found, uids...)
			}
		}
	}
	return cmd
}

// Status makes a STATUS (RFC 3501 section 6.3.10) that asks for items of a folder.
func Status(folder, items string, data *imap.StatusData) *Command {
	return &Command{name: "STATUS", text: "STATUS " + encodeFolder(folder) + " (" + items + ")", take: func(r *response) {
		if r.kind != "STATUS" {
			return
		}
		if told, ok := statusOf(r); ok && told.Mailbox == folder {
			*data = told
		}
	}}
}

// Examine makes an EXAMINE (RFC 3501 section 6.3.2), which opens a folder and changes nothing in
// it. data gets the number of messages, the UIDVALIDITY and the UIDNEXT, as far as the server tells
// them.
func Examine(folder string, data *imap.SelectData) *Command {
	return &Command{name: "EXAMINE", text: "EXAMINE " + encodeFolder(folder), take: func(r *response) {
		name, value, _ := strings.Cut(r.code, " ")
		n, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
		switch {
		case r.kind == "EXISTS":
			data.NumMessages = r.number
		case name == "UIDVALIDITY":
			data.UIDValidity = uint32(n)
		case name == "UIDNEXT":
			data.UIDNext = imap.UID(n)
		}
	}}
}

// Run sends commands together and waits until the server has answered all. That may take as long as
// timeout and cost one Limits.Exchange. It returns the first refusal, after which the connection
// still works, or why the connection is over, unless a refusal explains it.
func (c *Conn) Run(timeout time.Duration, commands ...*Command) error {
	err := c.begin()
	until := time.Now().Add(timeout)
	c.dropped, c.statuses = 0, 0
	var lines []byte
	for _, cmd := range commands {
		line, wrong := c.line(cmd.text)
		err = cmp.Or(err, wrong)
		cmd.tag, cmd.Err, lines = c.lastTag(), errNoAnswer, append(lines, line...)
		if cmd.name == "STATUS" {
			c.statuses++
		}
	}
	if err == nil {
		err = c.write(lines, until)
	}
	if err != nil {
		return err
	}
	return c.gracefully(func() error { return c.answers(until, commands) })
}

// errNoAnswer is that of a command while it has no answer.
var errNoAnswer = errors.New("the server did not answer")

// gracefully calls a function that waits for answers, which goes on for byeGrace after BYE.
func (c *Conn) gracefully(wait func() error) error {
	c.grace = true
	err := wait()
	c.grace, c.byeBy, c.statuses = false, time.Time{}, 0
	bye := c.failOnBye()
	if _, refused := errors.AsType[*imap.Error](err); bye != nil && !refused {
		return bye
	}
	return err
}

// answers reads until every command is answered, and returns the first refusal.
func (c *Conn) answers(until time.Time, commands []*Command) (refused error) {
	for waiting := commands; len(waiting) > 0; {
		r, err := c.next(until)
		if err != nil {
			return cmp.Or(refused, c.timedOut(err, "the answer to "+waiting[0].name))
		}
		for _, cmd := range waiting {
			if cmd.take != nil {
				cmd.take(r)
			}
		}
		at := slices.IndexFunc(waiting, func(cmd *Command) bool { return cmd.tag == r.tag })
		if at < 0 {
			err = c.unexpected(r)
		} else {
			err = c.answered(waiting[at], r)
			waiting = slices.Delete(slices.Clone(waiting), at, at+1)
		}
		if _, no := errors.AsType[*imap.Error](err); err != nil && !no {
			return cmp.Or(refused, err)
		}
		refused = cmp.Or(refused, err)
	}
	return refused
}

// answered takes in the status of a command.
func (c *Conn) answered(cmd *Command, r *response) error {
	if cmd.name == "STATUS" && r.kind != "OK" && c.statuses > 0 {
		c.statuses--
	}
	cmd.Err = c.status(r)
	return cmd.Err
}

// answersStatus reports whether a STATUS response may be an answer, and counts it as one: each
// STATUS gets one. More of them are news.
func (c *Conn) answersStatus() bool {
	if c.statuses == 0 {
		return false
	}
	c.statuses--
	return true
}

package imaptest

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// read takes the client's lines in, so that it can always write. A line holds its literals.
func (t *Talk) read() {
	defer close(t.lines)
	in := bufio.NewReader(t.conn)
	var command strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		command.WriteString(line)
		if n, wait, ok := announcedLiteral(line); ok {
			if wait {
				t.Say("+ go on\r\n")
				t.mu.Lock()
				t.flush()
				t.mu.Unlock()
			}
			if _, err := io.CopyN(&command, in, n); err != nil {
				return
			}
			continue
		}
		whole := command.String()
		command.Reset()
		select {
		case t.lines <- whole:
		case <-t.quit:
			return
		}
		if _, name, _ := cutCommand(whole); name == "STARTTLS" {
			select {
			case <-t.secure:
				in = bufio.NewReader(t.conn)
			case <-t.quit:
				return
			}
		}
	}
}

// announcedLiteral reads the {12} or {12+} at the end of a client's line.
func announcedLiteral(line string) (n int64, wait, ok bool) {
	at := strings.LastIndexByte(line, '{')
	if at < 0 || !strings.HasSuffix(line, "}") {
		return 0, false, false
	}
	digits, plus := strings.CutSuffix(line[at+1:len(line)-1], "+")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, !plus, err == nil
}

// cutCommand splits "tag NAME args"; of UID FETCH both words are the name.
func cutCommand(line string) (tag, name, args string) {
	tag, line, _ = strings.Cut(line, " ")
	name, args, _ = strings.Cut(line, " ")
	name = strings.ToUpper(name)
	if name == "UID" {
		second, rest, _ := strings.Cut(args, " ")
		return tag, name + " " + strings.ToUpper(second), rest
	}
	return tag, name, args
}

// cutString cuts an astring (RFC 3501 section 9) off what a client sent. A literal follows its size
// without a line end.
func cutString(args string) (value, rest string) {
	switch {
	case strings.HasPrefix(args, "{"):
		digits, content, _ := strings.Cut(args[1:], "}")
		size, _ := strconv.Atoi(strings.TrimSuffix(digits, "+"))
		size = min(size, len(content))
		return content[:size], content[size:]
	case strings.HasPrefix(args, `"`):
		var unquoted strings.Builder
		for i := 1; i < len(args); i++ {
			switch {
			case args[i] == '"':
				return unquoted.String(), args[i+1:]
			case args[i] == '\\' && i+1 < len(args):
				i++
			}
			unquoted.WriteByte(args[i])
		}
		return unquoted.String(), ""
	}
	value, rest, _ = strings.Cut(args, " ")
	return value, " " + rest
}

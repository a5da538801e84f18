package wire

import (
	"bytes"
	"strconv"
)

// Limits bounds what a server may send. All but Depth are bytes.
type Limits struct {
	Line     int // one line, between literals
	Literal  int // one literal
	Response int // one response, lines and literals together
	Exchange int // all responses of one step (a command, a Run, an IDLE), 64 added for each
	Depth    int // nested parentheses
}

// DefaultLimits holds a batch of twenty messages with their headers and 2 KiB of text each, and a
// SEARCH answer of 30,000 UIDs. Nothing that servers send is nested as deep as Depth.
var DefaultLimits = Limits{Line: 256 << 10, Literal: 512 << 10, Response: 1 << 20, Exchange: 4 << 20, Depth: 32}

// waitingBuffer is the size of the read buffer while nothing is in it, in bytes.
const waitingBuffer = 512

// framer finds where responses end (RFC 3501 section 9, response). It does no I/O.
type framer struct {
	limits     Limits
	buf        []byte
	start      int // the response being framed begins here
	pos        int // its next line begins here; beyond the end of buf inside a literal
	seen       int // no line feed between pos and here
	depth      int // parentheses open at pos
	data       bool
	unbalanced bool // quotes or parentheses of the last response, or of this one, do not match
}

// next returns the next whole response, or nil if more bytes are needed. The bytes are valid until
// readBuffer is called. An error is final.
func (f *framer) next() ([]byte, error) {
	for f.seen <= len(f.buf) {
		end := bytes.IndexByte(f.buf[f.seen:], '\n')
		if end < 0 {
			f.seen = len(f.buf)
			if f.seen-f.pos > f.limits.Line {
				return nil, &LimitError{"line", f.limits.Line}
			}
			return nil, nil
		}
		end += f.seen + 1
		literal, err := f.line(f.buf[f.pos:end])
		if err != nil {
			return nil, err
		}
		if end+max(literal, 0)-f.start > f.limits.Response {
			return nil, &LimitError{"response", f.limits.Response}
		}
		if literal >= 0 {
			f.pos = end + literal
			f.seen = f.pos
			continue
		}
		raw := f.buf[f.start:end]
		f.start, f.pos, f.seen = end, end, end
		return raw, nil
	}
	return nil, nil
}

// line looks at one line and returns the size of the literal that follows it, or -1.
func (f *framer) line(line []byte) (int, error) {
	if len(line) > f.limits.Line {
		return 0, &LimitError{"line", f.limits.Line}
	}
	if f.pos == f.start {
		f.data, f.depth, f.unbalanced = isData(line), 0, false
	}
	// The text of a status response may hold quotes and parentheses and end in {12}: it is only
	// text.
	if !f.data {
		return -1, nil
	}
	if err := f.nest(line); err != nil {
		return 0, err
	}
	digits, ok := literalSize(line)
	if !ok {
		f.unbalanced = f.unbalanced || f.depth != 0
		return -1, nil
	}
	size, err := strconv.Atoi(digits)
	if err != nil || size > f.limits.Literal {
		return 0, &LimitError{"literal", f.limits.Literal}
	}
	return size, nil
}

// nest follows quotes and parentheses. A quoted string never goes beyond its line (RFC 3501 section
// 4.3): a quote that is left open does not hide the end of a response or a literal from this
// framer, though perhaps from another reader.
func (f *framer) nest(line []byte) error {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '(':
			f.depth++
			if f.depth > f.limits.Depth {
				return &LimitError{"depth", f.limits.Depth}
			}
		case b == ')':
			if f.depth--; f.depth < 0 {
				f.depth, f.unbalanced = 0, true
			}
		}
	}
	f.unbalanced = f.unbalanced || quoted
	return nil
}

// literalSize returns the digits of a {123} (or {123+}) that ends a line.
func literalSize(line []byte) (string, bool) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	line, ok := bytes.CutSuffix(line, []byte("}"))
	if !ok {
		return "", false
	}
	digits := line[bytes.LastIndexByte(line, '{')+1:]
	if len(digits) == len(line) {
		return "", false
	}
	digits = bytes.TrimSuffix(digits, []byte("+"))
	for _, b := range digits {
		if b < '0' || b > '9' {
			return "", false
		}
	}
	return string(digits), len(digits) > 0
}

// readBuffer returns the space for the next bytes; filled takes how many came. Between responses it
// keeps no more than waitingBuffer.
func (f *framer) readBuffer() []byte {
	if f.start > 0 {
		n := copy(f.buf, f.buf[f.start:])
		f.buf = f.buf[:n]
		f.pos -= f.start
		f.seen -= f.start
		f.start = 0
	}
	if len(f.buf) == 0 && cap(f.buf) != waitingBuffer {
		f.buf = make([]byte, 0, waitingBuffer)
	}
	if len(f.buf) == cap(f.buf) {
		grown := make([]byte, len(f.buf), 2*cap(f.buf))
		copy(grown, f.buf)
		f.buf = grown
	}
	return f.buf[len(f.buf):cap(f.buf)]
}

// release drops the buffer if it is empty, so that a connection that waits needs less memory.
func (f *framer) release() {
	if f.buffered() == 0 {
		f.buf, f.start, f.pos, f.seen = nil, 0, 0, 0
	}
}

// filled notes that n bytes were read to readBuffer.
func (f *framer) filled(n int) { f.buf = f.buf[:len(f.buf)+n] }

// buffered returns how many bytes came after the last response.
func (f *framer) buffered() int { return len(f.buf) - f.start }

package wire

import (
	"bytes"
	"io"
	"math"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

// disorder is how many numbers of a SEARCH answer may be smaller than the one before: imapclient sorts them in at a cost that grows with the
// square: 30 s of a core for one exchange full of them.
const disorder = 1000

// digestible reports whether imapclient can read an untagged response. One that it cannot read ends its connection, and nobody knows its grammar
// better than itself: it is given this response and nothing else, and must come to its end.
func digestible(r *response) bool {
	switch {
	case r.odd:
		// imapclient may find another end of it.
		return false
	case r.kind == "ESEARCH":
		// One short range of it names four billion messages.
		return false
	case r.kind == "SEARCH" && !modest(r.raw):
		return false
	}
	return tasted(r.raw)
}

// legible reports whether imapclient can read the text of a tagged answer.
func legible(r *response) bool {
	_, rest := word(r.raw)
	return tasted(append([]byte("* "), rest...))
}

// modest looks for two traps in the numbers of a SEARCH answer: the set that they become cannot end (imap.UIDSet.Nums counts past the last number
// there is), or takes for ever to be sorted.
func modest(raw []byte) bool {
	var last uint32
	smaller := 0
	for field := range bytes.FieldsSeq(raw) {
		n, ok := number(field)
		if !ok {
			continue
		}
		if n == math.MaxUint32 {
			return false
		}
		if n < last {
			smaller++
		}
		last = n
	}
	return smaller <= disorder
}

func tasted(raw []byte) bool {
	const greeting = "* PREAUTH [CAPABILITY IMAP4rev1] taste\r\n"
	client := imapclient.New(taste{Reader: io.MultiReader(strings.NewReader(greeting), bytes.NewReader(raw))}, nil)
	<-client.Closed()
	return client.Close() == nil
}

// taste is a connection that holds one response and then ends.
type taste struct {
	net.Conn
	io.Reader
}

func (t taste) Read(p []byte) (int, error)       { return t.Reader.Read(p) }
func (t taste) Write(p []byte) (int, error)      { return 0, net.ErrClosed }
func (t taste) Close() error                     { return nil }
func (t taste) SetDeadline(time.Time) error      { return nil }
func (t taste) SetReadDeadline(time.Time) error  { return nil }
func (t taste) SetWriteDeadline(time.Time) error { return nil }

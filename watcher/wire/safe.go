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

// maxUnsorted is how many numbers of a SEARCH answer may be smaller than the one before. imapclient
// sorts them in at a cost that grows with the square: 30 s of a core for one exchange full of them.
const maxUnsorted = 1000

// safeUntagged reports whether imapclient can read an untagged response. One that it cannot read
// ends its connection, so it is tried on a client of its own, which must read it to its end.
func safeUntagged(r *response) bool {
	switch {
	case r.unbalanced:
		// imapclient may find another end of it.
		return false
	case r.kind == "ESEARCH":
		// One short range of it names four billion messages.
		return false
	case r.kind == "SEARCH" && !safeSearch(r.raw):
		return false
	}
	return parses(r.raw)
}

// safeTagged reports whether imapclient can read the text of a tagged answer.
func safeTagged(r *response) bool {
	_, rest := word(r.raw)
	return parses(append([]byte("* "), rest...))
}

// safeSearch reports whether the numbers of a SEARCH answer can be handled. They cannot if the set
// that they become has no end (imap.UIDSet.Nums counts past the last number there is), or takes
// forever to be sorted.
func safeSearch(raw []byte) bool {
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
	return smaller <= maxUnsorted
}

// parses reports whether imapclient reads a response to its end.
func parses(raw []byte) bool {
	const greeting = "* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n"
	client := imapclient.New(replay{Reader: io.MultiReader(strings.NewReader(greeting), bytes.NewReader(raw))}, nil)
	<-client.Closed()
	return client.Close() == nil
}

// replay is a connection that holds one response and then ends.
type replay struct {
	net.Conn
	io.Reader
}

func (r replay) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (r replay) Write(p []byte) (int, error)      { return 0, net.ErrClosed }
func (r replay) Close() error                     { return nil }
func (r replay) SetDeadline(time.Time) error      { return nil }
func (r replay) SetReadDeadline(time.Time) error  { return nil }
func (r replay) SetWriteDeadline(time.Time) error { return nil }

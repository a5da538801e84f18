package webpush

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// Rows names the rows of the table, in order.
func Rows() (names []string) {
	for _, row := range table {
		name := fmt.Sprint(row.from)
		if row.to != row.from {
			name += fmt.Sprint("-", row.to)
		}
		if row.says.number != 0 {
			name += fmt.Sprint(" ", row.says.number)
		} else if text := row.says.reason + row.says.part; text != "" {
			name += " " + text
		}
		names = append(names, name)
	}
	return names
}

// Mark gives a row another code, by which a test sees that it was that row that decided, until undo is called.
func Mark(row int, code string) (undo func()) {
	was := table[row].code
	table[row].code = code
	return func() { table[row].code = was }
}

// DialThrough makes the sender dial by the function, whatever the address; idle then closes the connections that have nothing to do.
func (s *Sender) DialThrough(dial func(context.Context, string, string) (net.Conn, error)) (idle func()) {
	plain, secure := s.plain.Transport.(*http.Transport), s.secure.Transport.(*http.Transport)
	plain.DialContext, secure.DialContext = dial, dial
	return func() {
		plain.CloseIdleConnections()
		secure.CloseIdleConnections()
	}
}

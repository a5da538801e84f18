package webpush

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"

	"idlepush/codes"
	"idlepush/push/pushtest/sendertest"
)

// Rows returns the names of the rows of the table.
func Rows() (names []string) {
	for _, row := range table {
		number := ""
		if row.says.number != 0 {
			number = strconv.Itoa(row.says.number)
		}
		page, known := "", ""
		if row.says.page {
			page = "page"
		}
		if row.says.known {
			known = "known"
		}
		names = append(names, sendertest.RowName(row.from, row.to, number, row.says.reason, row.says.part, page, known))
	}
	return names
}

// Mark changes the code of a row until undo is called. By the code a test sees which row has
// decided.
func Mark(row int, code codes.Code) (undo func()) {
	was := table[row].code
	table[row].code = code
	return func() { table[row].code = was }
}

// IsService is isService.
func IsService(host string) bool { return isService(host) }

// Know makes the host one of services until undo is called.
func Know(host string) (undo func()) {
	was := services
	services = append(slices.Clone(services), host)
	return func() { services = was }
}

// DialThrough makes the sender use dial for every address. closeIdle closes the idle connections.
func (s *Sender) DialThrough(dial func(context.Context, string, string) (net.Conn, error)) (closeIdle func()) {
	plain, secure := s.plain.Transport.(*http.Transport), s.secure.Transport.(*http.Transport)
	plain.DialContext, secure.DialContext = dial, dial
	return func() {
		plain.CloseIdleConnections()
		secure.CloseIdleConnections()
	}
}

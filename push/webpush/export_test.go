package webpush

import "fmt"

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

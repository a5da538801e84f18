package discover

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// said are the words of README.md for the ways to log in.
var said = map[string]string{Password: "its password", AppPassword: "an app password", Code: "an authorisation code", OAuth: "sign in"}

// TestREADME fails if the table in README.md lacks a provider, or says something else of it than
// the table of providers.
func TestREADME(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Mailboxes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := make(map[string]string)
	for line := range strings.Lines(section) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 2 {
			for name := range strings.SplitSeq(strings.TrimPrefix(cells[0], "| "), ", ") {
				if rows[name] != "" {
					t.Errorf("%s is there twice", name)
				}
				rows[name] = cells[1]
			}
		}
	}
	for _, p := range table {
		row, auth := rows[p.name], strings.Fields(p.auth)
		if row == "" {
			t.Errorf("there is no %s", p.name)
		}
		for way, words := range said {
			if strings.Contains(row, words) != slices.Contains(auth, way) {
				t.Errorf("of %s it says %q, and the table has %s", p.name, row, p.auth)
			}
		}
		asked := slices.ContainsFunc(p.notes, func(n Note) bool { return n.Code == "imap_switch" || n.Code == "authorization_code" })
		if strings.Contains(row, "allow IMAP first") && !asked {
			t.Errorf("of %s it says %q, and no note says so", p.name, row)
		}
	}
}

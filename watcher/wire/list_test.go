package wire

import (
	"slices"
	"testing"
)

// A folder is read however its server lists it.
func TestList(t *testing.T) {
	for line, want := range map[string]string{
		`* LIST (\HasNoChildren) "/" "Family"`:       "Family",
		`* LIST (\HasNoChildren \ ) "/" Argos`:       "Argos",
		`* list () nil family`:                       "family",
		`* LIST () "/" inbox`:                        "INBOX",
		`* LIST () "\\" "a \"b\" \\c"`:               `a "b" \c`,
		`* LIST () "/" [Gmail]/All Mail`:             "[Gmail]/All Mail",
		`* LIST () "/" "Entw&APw-rfe &- &ZeVnLIqe-"`: "Entwürfe & 日本語",
		`* LIST () "/" "Entwürfe"`:                   "Entwürfe",
		`* LIST () "/" "a &b"`:                       "a &b",
		"* LIST () \"/\" {6}\r\nFamily":              "Family",
		`* LIST () "/" "Family" ("CHILDINFO" ("S"))`: "Family",
		"* LIST () \"/\" \"Entw\xfcrfe\"":            "",
		`* LIST () "/" "a &2D0-"`:                    "", // half of a character
		`* LIST () "/" "5" disks"`:                   "",
		`* LIST () "/" "5" or "6" disks"`:            "",
		`* LIST "/" "Family"`:                        "",
		`* LIST () "/"`:                              "",
		`* LIST ()`:                                  "",
		`* LIST`:                                     "",
	} {
		f := framer{limits: DefaultLimits}
		f.filled(copy(f.readBuffer(), line+"\r\n"))
		raw, err := f.next()
		if err != nil || raw == nil {
			t.Fatal(line, err)
		}
		r := parse(raw)
		r.unbalanced = f.unbalanced
		if got, ok := listed(&r); got.Name != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", line, got.Name, ok)
		}
	}
	r := parse([]byte("* LIST (\\NoSelect \\Sent) \"/\" x\r\n"))
	if got, _ := listed(&r); !slices.Equal(got.Attributes, []string{`\noselect`, `\sent`}) {
		t.Errorf("attributes %q", got.Attributes)
	}
}

package wire

import (
	"slices"
	"strings"
	"testing"
)

// nested is a part in so many multiparts.
func nested(part string, deep int) string {
	return strings.Repeat("(", deep) + part + strings.Repeat(")", deep)
}

func TestTextParts(t *testing.T) {
	const plain, rich = `("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 5 1 NIL NIL NIL NIL)`, `("text" "html" NIL NIL NIL "BASE64" 5000 60)`
	const picture = `("IMAGE" "JPEG" ("NAME" "a (b)") NIL NIL "BASE64" 50000 NIL ("INLINE" NIL) NIL)`
	for structure, want := range map[string][]string{
		plain: {"TEXT"},
		rich:  {"TEXT"},
		`(` + picture + plain + ` "MIXED" ("BOUNDARY" "b") NIL NIL)`:                                            {"2"},
		`(` + picture + ` ` + plain + ` "MIXED")`:                                                               {"2"},
		`((` + plain + rich + ` "ALTERNATIVE")` + picture + ` "MIXED")`:                                         {"1.1", "1.2"},
		`(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1 NIL ("ATTACHMENT" ("FILENAME" "a.txt")) NIL)` + rich + `)`:     {"2"},
		`(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 5 (NIL NIL) ` + plain + ` 3) ("TEXT" "CALENDAR" NIL) "MIXED")`: nil,
		`("APPLICATION" "PDF" NIL NIL NIL "BASE64" 5)`:                                                          nil,
		nested(plain, 20): {strings.Repeat("1.", 19) + "1"},
		nested(plain, 40): nil,
		``:                nil, `(`: nil, `)`: nil, `((((`: nil, `NIL`: nil, `("TEXT")`: nil,
	} {
		if got := TextParts([]byte(structure), 3); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", structure, got, want)
		}
	}
	if got := TextParts([]byte("("+plain+plain+plain+plain+")"), 3); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("of four parts %q", got)
	}
}

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

func TestHasAttachment(t *testing.T) {
	const plain, rich = `("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 5 1 NIL NIL NIL NIL)`, `("text" "html" NIL NIL NIL "BASE64" 5000 60)`
	const pdf = `("APPLICATION" "PDF" ("NAME" "a.pdf") NIL NIL "BASE64" 5)`
	for structure, want := range map[string]bool{
		plain: false, rich: false, pdf: true,
		`(` + plain + rich + ` "ALTERNATIVE")`:                           false,
		`(` + plain + pdf + ` "MIXED" ("BOUNDARY" "b") NIL NIL)`:         true,
		`(` + plain + plain + ` "MIXED")`:                                false,
		`(` + plain + `(` + rich + pdf + rich + `"MIXED")"ALTERNATIVE")`: true,
		`(` + plain + `("APPLICATION" "PKCS7-SIGNATURE" NIL NIL NIL "BASE64" 5 NIL ("ATTACHMENT" ("FILENAME" "smime.p7s"))) "SIGNED")`: false,
		`((` + plain + pdf + ` "MIXED")("application" "pgp-signature" NIL NIL NIL "7BIT" 5) "SIGNED")`:                                 true,
		`(` + plain + `("TEXT" "CSV" NIL NIL NIL "7BIT" 5 1 NIL ("attachment" ("FILENAME" "a.csv"))) "MIXED")`:                         true,
		`(` + rich + `("IMAGE" "PNG" ("NAME" "logo.png") "<1@x>" NIL "BASE64" 50 NIL ("INLINE" NIL)) "RELATED")`:                       false,
		`(` + plain + `("IMAGE" "JPEG" ("NAME" "a (b)") NIL NIL "BASE64" 50000 NIL ("INLINE" NIL) NIL) "MIXED")`:                       true,
		`(` + plain + `("IMAGE" "JPEG" ("NAME" "a.jpg") "<1@x>" NIL "BASE64" 50000 NIL ("ATTACHMENT" NIL) NIL) "MIXED")`:               true,
		`(` + plain + `("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 5 (NIL NIL) ` + plain + ` 3) "MIXED")`:                                   true,
		nested(plain, 40): false,
		``:                false, `(`: false, `)`: false, `((((`: false, `NIL`: false, `("IMAGE")`: false, `("IMAGE" "PNG")`: true,
	} {
		if got := HasAttachment([]byte(structure)); got != want {
			t.Errorf("%s: %v", structure, got)
		}
	}
}

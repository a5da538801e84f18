package message

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDescriptionBounds(t *testing.T) {
	t.Parallel()
	t.Run("a description keeps its bounds", descriptionBounds)
}

func descriptionBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 2000)
	got := Describe([]byte("From: "+long+"<bob@example.com>\nSubject: "+long+"\n\n"), []byte(long))
	for name, c := range map[string]struct {
		text  string
		bound int
	}{"from": {got.From, fromRunes}, "subject": {got.Subject, subjectRunes}, "preview": {got.Preview, previewRunes}} {
		if n := utf8.RuneCountInString(c.text); n > c.bound || n < c.bound-1 || !strings.HasSuffix(c.text, "…") {
			t.Errorf("%s is %d runes of %d: %q", name, n, c.bound, c.text)
		}
	}
	address := strings.Repeat("service.bank.example.", 20) + "@evil.example"
	if from := Describe([]byte("From: <"+address+">\n\n"), nil).From; !strings.HasSuffix(from, "@evil.example") ||
		!strings.HasPrefix(from, "…") || utf8.RuneCountInString(from) != fromRunes {
		t.Errorf("a long address became %q", from)
	}
}

package message

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"idlepush/registry/testenv"
)

// checkDescription fails unless a description is fit to be shown.
func checkDescription(t *testing.T, header, text []byte) {
	t.Helper()
	got := Describe(header, text)
	for name, c := range map[string]struct {
		text  string
		bound int
	}{"from": {got.From, fromRunes}, "subject": {got.Subject, subjectRunes}, "preview": {got.Preview, previewRunes}} {
		if !utf8.ValidString(c.text) {
			t.Errorf("%s is not UTF-8: %q", name, c.text)
		}
		if n := utf8.RuneCountInString(c.text); n > c.bound {
			t.Errorf("%s has %d runes: %q", name, n, c.text)
		}
		if strings.TrimSpace(c.text) != c.text || strings.Contains(c.text, "  ") {
			t.Errorf("%s has white space at its ends or double: %q", name, c.text)
		}
		for _, r := range c.text {
			if r != ' ' && (unicode.IsSpace(r) || r != '\u200d' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)) {
				t.Errorf("%s holds %U: %q", name, r, c.text)
			}
		}
	}
	if n := len(Fingerprint(header, 1, time.Time{})); n != 16 && n != 0 {
		t.Errorf("the fingerprint has %d characters", n)
	}
	if again := Describe(header, text); !reflect.DeepEqual(again, got) {
		t.Errorf("first %+v, then %+v", got, again)
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte("From: =?utf-8?Q?J=C3=BCrgen?= <j@example.com>\r\nSubject: =?iso-2022-jp?B?GyRCMnE1RBsoQg==?= tea\r\nMessage-ID: <1@example.com>\r\n\r\n"), []byte("At five?\r\n-- \r\nJ"))
	f.Add([]byte("From: \"Doe, Jane\" (x (y)) <jane@example.com>, a: b;\nSubject:\n =?gb2312?B?u+HS?=\n =?gb2312?B?6Q==?=\nContent-Type: multipart/alternative; boundary=\"00000000000012\"\n\n"), []byte(alternative))
	f.Add([]byte("Subject: \xf7\xd3\xd4\xd2\xc5\xde\xc1\nContent-Type: text/html; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n"), []byte("PGI+98XUPC9iPiZsdDs="))
	f.Add([]byte("Subject: \x1b$B2q5D\x1b(B \u202e\u200d👩\u200d👩\nContent-Transfer-Encoding: quoted-printable\n\n"), []byte("=C3=\r\n=BC =Z\n>q\n-----BEGIN PGP MESSAGE-----\n"))
	f.Fuzz(func(t *testing.T, header, text []byte) {
		checkDescription(t, slices.Clip(header), slices.Clip(text))
	})
}

// What is repeated here has its price in every naive reader: openings that are never closed, and
// things in one another. Eight times as much may take some eight times as long; in a reader that
// begins anew at each opening it is 64 times.
func TestDescribeTime(t *testing.T) {
	t.Parallel()
	const times, most = 8, 24
	for _, unit := range []string{
		"=?", "=?a?q?", "=?utf-8?q?x ", "=?utf-8?q?a?= ", "=?utf-8?b?=?", "=?x?q?a?= ", "=?utf-8?q?a?= =?koi8-r?q?a?= ", "=?=?=?q?",
		`"`, `"\`, `\"`, "(", "()", "(a)", "<", "<>", "<a@b> ", ",", ":", "a,", "a@b ", "@", "'", ";", "= ", "a;b=", `;a="\`, ";charset=\"",
		"\n ", "\r\n\t", "\n", ":\n", "From: a\n", "a:b\n", "\x00", "\xff", "\u202e", "\u200d", "👩\u200d", "e\u0301", "\u0301", "\x1b$B",
		"&", "&lt", "<!--", "<a ", "<a b=", "<blockquote type=cite>", "<p>", "</p>", "<title>", "--", "--\n", "--b\n", "--b\n\n", "-----BEGIN X-----\n",
		"--b\nContent-Type: multipart/mixed; boundary=b\n\n", "=", "=\n", "=\r", "= \n", "=4", "A", "A=",
	} {
		// The shortest times: collecting garbage only adds to them.
		short, long := time.Hour, time.Hour
		testenv.Await(t, fmt.Sprintf("%q repeated takes little time", unit), func() error {
			short, long = min(short, describing(unit, headerBytes/times)), min(long, describing(unit, headerBytes))
			if long > most*short {
				return fmt.Errorf("%v, and %d times as much %v", short, times, long)
			}
			return nil
		})
	}
}

// describing returns the CPU time that it takes to describe messages with size bytes of header and
// a text in proportion.
func describing(unit string, size int) time.Duration {
	header, text := strings.Repeat(unit, size/len(unit)), []byte(strings.Repeat(unit, size*textBytes/headerBytes/len(unit)))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := cpu()
	for _, field := range []string{"From: ", "Subject: ", "Content-Type: ", "Content-Type: text/plain (a) ", "Content-Transfer-Encoding: (a) ", "To: ", "References: ", "List-Id: ", "Precedence: ", ""} {
		Describe([]byte(field+header), text)
	}
	for _, kind := range []string{
		"text/html", "multipart/mixed; boundary=b", "multipart/mixed", "text/plain\nContent-Transfer-Encoding: quoted-printable",
		"text/plain\nContent-Transfer-Encoding: base64",
	} {
		Describe([]byte("Content-Type: "+kind+"\n\n"), text)
	}
	return cpu() - begin
}

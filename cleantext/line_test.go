package cleantext

import (
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	t.Parallel()
	t.Run("nothing invisible or steering is left in a title", noInvisibleCharacters)
	t.Run("a long text is cut between characters", cutBetweenCharacters)
}

func noInvisibleCharacters(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"a\r\n\tb   c\v\fd\u0085e\u00a0f\u2028g\u2029h\u3000i": "a b c d e f g h i",
		"  around  ":                                           "around",
		"nul\x00 esc\x1b[31m bell\a del\x7f":                   "nul esc[31m bell del",
		"c1\u0080\u009b31m":                                    "c131m",
		"\u202egpj.exe\u202c":                                  "gpj.exe",
		"\u2066a\u2067b\u2068c\u2069\u200e\u200f\u061cd":       "abcd",
		"\ufeffpay\u200bpal\u2060\u00ad":                       "paypal",
		"fill\u034f\u115f\u1160\u3164\uffa0\u2800\u180eer":     "fill er",
		"tag\U000e0001\U000e0041\U000e007f\ufff9\ufffb":        "tag",
		"non\uffff\U0001fffe":                                  "non",
		"\xff\xfe\xfd broken":                                  "\ufffd broken",
		"👩\u200d👩\u200d👧 family":                               "👩\u200d👩\u200d👧 family",
		"❤\ufe0f\u200d🔥 👩🏽\u200d🚀":                             "❤\ufe0f\u200d🔥 👩🏽\u200d🚀",
		"joined\u200dup\u200d 👩\u200d":                         "joinedup 👩",
		"e\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301vil": "e\u0301\u0301\u0301\u0301vil",
	} {
		if got := Line(raw, 100); got != want {
			t.Errorf("%q:\n got %q\nwant %q", raw, got, want)
		}
	}
}

func cutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw, want string
		bound     int
	}{
		{"12345", "12345", 5},
		{"12345   ", "12345", 5},
		{"123456", "1234…", 5},
		{"123 56", "123…", 5},
		{"äöüßéè", "äöüß…", 5},
		{"你好世界你好", "你好世界…", 5},
		{"123e\u0301456", "123…", 5},
		{"12👩\u200d👩\u200d👧", "12…", 5},
		{"123👍🏽456", "123…", 5},
		{"e" + strings.Repeat("\u0301", 50), "e…", 4},
	} {
		if got := Line(c.raw, c.bound); got != c.want {
			t.Errorf("%q to %d:\n got %q\nwant %q", c.raw, c.bound, got, c.want)
		}
	}
}

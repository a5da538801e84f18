package message

import (
	"testing"
)

func TestEncodedWords(t *testing.T) {
	t.Parallel()
	t.Run("subjects of all charsets are read", subjectCharsets)
	t.Run("broken words are read as far as they go", brokenWords)
	t.Run("raw bytes are read in the likeliest charset", rawBytes)
}

// subjectOf describes a message with this subject, as it stands in the header.
func subjectOf(raw string) string {
	return Describe([]byte("From: bob@example.com\r\nSubject: "+raw+"\r\n\r\n"), nil).Subject
}

func subjectCharsets(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"Tea at five": "Tea at five",
		"=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=":                     "Grüße aus Köln",
		"=?utf-8?B?WmHFvMOzxYLEhyBnxJnFm2zEhSBqYcW6xYQ=?=":              "Zażółć gęślą jaźń",
		"=?ISO-8859-1?Q?Caf=E9?=":                                       "Café",
		"=?iso-8859-1?Q?=93quoted=94_=80_5?=":                           "“quoted” € 5", // CP1252
		"=?iso-8859-15?B?R3L832UgpA==?=":                                "Grüße €",
		"=?ISO-2022-JP?B?GyRCMnE1RCROJCpDTiRpJDsbKEI=?=":                "会議のお知らせ",
		"=?shift_jis?B?ie+LYw==?=":                                      "会議",
		"=?EUC-JP?B?svG1xA==?=":                                         "会議",
		"=?GB2312?B?u+HS6c2o1qo=?=":                                     "会议通知",
		"=?cp932?B?ie+LYw==?=":                                          "会議",
		"=?hz-gb-2312?B?fns7YVJpfn0=?=":                                 "会议",
		"=?ISO-2022-KR?B?GyQpQw5IOEBHDw==?= x":                          "회의 x",
		"=?cp949?B?yLjAxyC+yLO7?=":                                      "회의 안내",
		"=?gb2312?B?yfrI1b/swNaUObw4?=":                                 "生日快乐🎂",
		"=?iso-2022-jp-ms?B?GyRCMnE1RC0hGyhC?=":                         "会議①",
		"=?iso-2022-cn?B?GyQpQQ47YVJpDw==?=":                            "会议",
		"=?utf-7?Q?Gr+APw-, 1 +- 1?=":                                   "Grü, 1 + 1",
		"=?unicode-1-1-utf-7?Q?Hi_Mom_-+Jjo--!?=":                       "Hi Mom -☺-!", // RFC 2152
		"=?utf-16?B?/v8ARwByAPw=?=":                                     "Grü",
		"=?utf-16le?B?RwByAPwA?=":                                       "Grü",
		"=?utf-16?B?AEcAcgD8?=":                                         "Grü", // without a mark
		"=?win-1251?B?wvHy8OX34A==?=":                                   "Встреча",
		"=?big5?B?t3zEs7Nxqr4=?=":                                       "會議通知",
		"=?ks_c_5601-1987?B?yLjAxw==?=":                                 "회의",
		"=?koi8-r?B?99PU0sXewQ==?=":                                     "Встреча",
		"=?windows-1251?Q?=C2=F1=F2=F0=E5=F7=E0?=":                      "Встреча",
		"=?tis-620?B?u8PQqtjB?=":                                        "ประชุม",
		"=?cp850?B?mm6LY5Rkgg==?=":                                      "Ünïcödé",
		"=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=":                                "Grüße", // RFC 2231
		"=?unknown-8bit?Q?Caf=E9?= =?unknown-8bit?Q?_Gr=C3=BC=C3=9Fe?=": "Caf\ufffd Grüße",
	} {
		if got := subjectOf(raw); got != want {
			t.Errorf("%s:\n got %q\nwant %q", raw, got, want)
		}
	}
}

func brokenWords(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		// Adjacent words, the space between them gone, also within a character.
		"=?utf-8?Q?Hello,?= =?utf-8?Q?_world?=":                 "Hello, world",
		"=?utf-8?B?5L2g5Q==?=\r\n =?UTF-8?B?pb3kuJbnlYw=?=":     "你好世界",
		"=?utf-8?Q?Gr=C3?= \t =?utf-8?Q?=BC=C3=9Fe?=":           "Grüße",
		"=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?koi8-r?B?99PU0sXewQ==?=": "GrüßeВстреча",
		"=?utf-8?Q?a?= and =?utf-8?Q?b?=":                       "a and b",
		"Re:=?utf-8?Q?_a?=,b":                                   "Re: a,b",
		// Words that break the grammar.
		"=?utf-8?B?SGVsbG8?=":                              "Hello", // no padding
		"=?utf-8?B?SGVs bG8=?=":                            "Hello",
		"=?utf-8?B?SGVsbG8=IHdvcmxk?=":                     "Hello world", // padding inside
		"=?utf-8?b?SGVsbG8?= =?utf-8?q?_there?=":           "Hello there",
		"=?utf-8?Q?Tea at five?=":                          "Tea at five",
		"=?utf-8?Q?100=_sure=3F=ZZ?=":                      "100= sure?=ZZ",
		"=?utf-8?Q?M=FCller?=":                             "Müller", // not UTF-8 at all
		"=?utf-8?Q?Gr=C3=BC=C3?=":                          "Grü\ufffd",
		"=?iso-8859-1?Q?M\xfcller?=":                       "Müller", // raw inside a word
		"=?utf-8?Q?cut_off":                                "cut off",
		"=?utf-8?B?Y3V0IG9mZg":                             "cut off",
		"=?utf-8?Q??=":                                     "",
		"=?utf-8?Q?no_end here":                            "no end here",
		"=?utf-8?Q?no_end =?utf-8?Q?_here?=":               "no end here",
		"=??Q?a?=":                                         "a",
		"=? utf-8 ?Q?a?=":                                  "a",
		"=?utf-8?BASE64?SGVsbG8=?=":                        "Hello",
		"=?utf-8?B?5L2g5Q==?= =?utf8?B?pb3kuJbnlYw=?=":     "你好世界", // one charset by two names
		"=?utf-8?Q?=3D=3Futf-8=3FQ=3FGr=3DC3=3DBC=3F=3D?=": "Grü",  // encoded twice
		// Words that nobody can decode.
		"a =?utf-8?X?aGVsbG8=?= b":           "a […] b",
		"=?x-klingon?B?////?= =?utf-8?Q?a?=": "[…]a",
		// No words at all.
		"=?utf-8?":               "=?utf-8?",
		"a =? b ?= c":            "a =? b ?= c",
		"=?utf-8 is it?Q?what?=": "=?utf-8 is it?Q?what?=",
		// A charset that nobody knows is read as what it looks like.
		"=?x-klingon?Q?nuq?=": "nuq",
	} {
		if got := subjectOf(raw); got != want {
			t.Errorf("%s:\n got %q\nwant %q", raw, got, want)
		}
	}
}

func rawBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ subject, contentType, want string }{
		{"Grüße", "", "Grüße"},
		{"Grüße", "text/plain; charset=koi8-r", "Grüße"},
		{"Gr\xfc\xdfe", "", "Grüße"},
		{"Caf\xe9", "text/plain; charset=utf-8", "Café"},
		{"\xf7\xd3\xd4\xd2\xc5\xde\xc1", "text/plain; charset=koi8-r", "Встреча"},
		{"\xc2\xf1\xf2\xf0\xe5\xf7\xe0", `text/html; format=flowed; charset="windows-1251"`, "Встреча"},
		{"\xbb\xe1\xd2\xe9", "text/plain; charset=gb2312", "会议"},
		{"\x95\x5c\x8e\xa6", "text/plain; charset=Shift_JIS", "表示"}, // with a backslash byte
		{"\x1b$B2q5D\x1b(B 5", "", "会議 5"},
		{"Gr\xfc\xdfe", "text/plain; charset=x-klingon", "Grüße"},
		{"Gr\xfc\xdfe", "text/plain; charset=utf-16", "Grüße"},
		{"Gr\xfc\xdfe =?utf-8?Q?=C3=BC?=", "", "Grüße ü"},
	} {
		header := "Subject: " + c.subject + "\nContent-Type: " + c.contentType + "\n\n"
		if got := Describe([]byte(header), nil).Subject; got != c.want {
			t.Errorf("%q as %s:\n got %q\nwant %q", c.subject, c.contentType, got, c.want)
		}
	}
}

package message

import (
	"testing"
)

func TestSender(t *testing.T) {
	t.Parallel()
	t.Run("a sender is shown by name, or else by address", nameElseAddress)
	t.Run("a name that pretends to be another address shows the real one", nameLikeAddress)
	t.Run("Sender is used if From is empty", senderWithoutFrom)
}

func fromOf(raw string) string { return Describe([]byte("From: "+raw+"\r\n\r\n"), nil).From }

func nameElseAddress(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"Bob <bob@example.com>":                                  "Bob",
		`"Doe, Jane" <jane@example.com>`:                         "Doe, Jane",
		`"Jane \"JD\" Doe" <jane@example.com>`:                   `Jane "JD" Doe`,
		"bob@example.com":                                        "bob@example.com",
		"<bob@example.com>":                                      "bob@example.com",
		"bob@example.com (Bob Doe)":                              "Bob Doe",
		"Bob <bob@example.com> (at (the) office)":                "Bob",
		"=?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <j@example.com>":    "Jürgen Müller",
		`"=?UTF-8?Q?J=C3=BCrgen?=" <j@example.com>`:              "Jürgen", // not in RFC 2047
		"=?utf-8?Q?Doe,_Jane_(Sales)_<now>?= <jane@example.com>": "Doe, Jane (Sales) <now>",
		"=?koi8-r?B?99PU0sXewQ==?=\r\n <a@example.com>":          "Встреча",
		"=?iso-2022-jp?B?GyRCMnE1RBsoQg==?= <a@example.com>":     "会議",
		"\x1b$B2q5D\x1b(B <a@example.com>":                       "会議",
		"J\xfcrgen <j@example.com>":                              "Jürgen",
		"'Bob' <bob@example.com>":                                "Bob",
		"Bob <bob@example.com>, Eve <eve@example.com>":           "Bob",
		"bob@example.com, eve@example.com":                       "bob@example.com",
		"Friends: Bob <bob@example.com>, Eve <eve@example.com>;": "Bob",
		"undisclosed-recipients:;":                               "",
		`"" <bob@example.com>`:                                   "bob@example.com",
		`"-" <bob@example.com>`:                                  "bob@example.com",
		"\"\u200b\u202e\" <bob@example.com>":                     "bob@example.com",
		"🔥 <bob@example.com>":                                    "🔥",
		"Jane @ Example <news@example.com>":                      "Jane @ Example",
		"Support (@handle) <news@example.com>":                   "Support",
		`"bob@example.com" <bob@example.com>`:                    "bob@example.com",
		`"'Bob@Example.com'" <bob@example.com>`:                  "Bob@Example.com",
		`"Bob (bob@example.com)" <bob@example.com>`:              "Bob (bob@example.com)",
		"Bob <>":        "Bob",
		"MAILER-DAEMON": "MAILER-DAEMON",
		"":              "",
		"   ":           "",
		// Broken.
		"Doe, Jane <jane@example.com>":  "Doe, Jane",
		`"Bob <bob@example.com>`:        "Bob",
		"Bob (away <bob@example.com>":   "Bob away",
		"Bob <bob@example.com":          "Bob",
		"Bob bob@example.com":           "Bob",
		`"bob@example.com"`:             "bob@example.com",
		"Bob\x00\r\n <bob@example.com>": "Bob",
	} {
		if got := fromOf(raw); got != want {
			t.Errorf("%s:\n got %q\nwant %q", raw, got, want)
		}
	}
}

func nameLikeAddress(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		`"service@bank.example"`,
		`"Service (service@bank.example)"`,
		"service@bank.example",
		`"service @ bank.example"`,
		`"eve@evil.example service@bank.example"`,
		`"xeve@evil.example"`,
		`"eve@evil.example.bank.example"`,
		"\"service\u200b@\u202ebank.example\"",
		`"service＠bank．example"`,
		`"service﹫bank.example"`,
		"=?utf-8?Q?service=40bank.example?=",
		`"=?utf-8?B?c2VydmljZUBiYW5rLmV4YW1wbGU=?="`,
		"=?utf-8?Q?service?= =?utf-8?Q?=40bank.example?=",
		"<service@bank.example>",
		`"<service@bank.example>"`,
		"(service@bank.example)",
	} {
		if got := fromOf(name + " <eve@evil.example>"); got != "eve@evil.example" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := fromOf("eve@evil.example (service@bank.example)"); got != "eve@evil.example" {
		t.Errorf("in a comment: %q", got)
	}
}

func senderWithoutFrom(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Sender: Bob <bob@example.com>\n\n":                            "Bob",
		"From:\nSender: Bob <bob@example.com>\n\n":                     "Bob",
		"From: Jane <jane@example.com>\nSender: bob@example.com\n\n":   "Jane",
		"From: Jane <jane@example.com>\nFrom: Eve <e@example.com>\n\n": "Jane",
		"FROM : Jane <jane@example.com>":                               "Jane",
		"From:\n\tJane\n <jane@example.com>\n":                         "Jane",
		"X-From: Eve\nFrom: Jane <jane@exam":                           "Jane",
		"no field\n continued\nFrom: Jane\n\nSubject: of the body":     "Jane",
		"": "",
	} {
		if got := Describe([]byte(header), nil).From; got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

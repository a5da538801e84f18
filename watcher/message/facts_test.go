package message

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"idlepush/ring"
)

func factsOf(header string) ring.Facts { return Describe([]byte(header+"\r\n\r\n"), nil).Facts }

func TestFacts(t *testing.T) {
	t.Parallel()
	t.Run("the sender is an address in lower case, and the name that is shown", factsSender)
	t.Run("To and Cc are addresses, whatever stands around them", factsTo)
	t.Run("a list has an id, and its mail is bulk", factsList)
	t.Run("bulk is what says so", factsBulk)
	t.Run("a thread begins with the first mail and ends with its own", factsThread)
	t.Run("an attachment is guessed by the type", factsAttachment)
	t.Run("a long list of recipients hides nothing behind it", factsBehindRecipients)
}

func factsSender(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]ring.Facts{
		"From: =?utf-8?Q?J=C3=BCrgen?= <J@Example.COM>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=": {From: "j@example.com", Name: "Jürgen", Subject: "Grüße"},
		"From: BOB@example.com":                                {From: "bob@example.com"},
		"From: \"service@bank.example\" <eve@evil.example>":    {From: "eve@evil.example"},
		"Sender: Bob <bob@example.com>":                        {From: "bob@example.com", Name: "Bob"},
		"From: MAILER-DAEMON":                                  {Name: "MAILER-DAEMON"},
		"From: <" + strings.Repeat("x", 320) + "@example.com>": {},
		"": {},
	} {
		got := factsOf(header)
		if got.From != want.From || got.Name != want.Name || got.Subject != want.Subject {
			t.Errorf("%s: %q, %q, %q", header, got.From, got.Name, got.Subject)
		}
	}
}

func factsTo(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"To: Anna@Example.org": "anna@example.org",
		"To: Anna <anna@example.org>, bob@example.org\r\nCc: Carl <carl@example.org>":      "anna@example.org bob@example.org carl@example.org",
		`To: "Doe, Jane" <jane@example.org>, "x;y" <bob@example.org>`:                      "jane@example.org bob@example.org",
		"To: Doe, Jane <jane@example.org>":                                                 "jane@example.org",
		"To: Friends: Bob <bob@example.org>, eve@example.org;, Carl <carl@example.org>":    "bob@example.org eve@example.org carl@example.org",
		"To: undisclosed-recipients:;":                                                     "",
		"To: Bob (a, (b, c) <x@example.org>) <bob@example.org>, eve@example.org (Eve, me)": "bob@example.org eve@example.org",
		"To: =?utf-8?Q?Doe,_Jane?= <jane@example.org>, <bob@example.org>":                  "jane@example.org bob@example.org",
		"To: anna@example.org, ANNA@example.org\r\nCc: anna@example.org":                   "anna@example.org",
		"To: <anna@example.org>,\r\n\t<bob@example.org>,\r\n carl@example.org":             "anna@example.org bob@example.org carl@example.org",
		"To: a@example.org; b@example.org":                                                 "a@example.org b@example.org",
		`To: "Bob <bob@example.org>, eve@example.org`:                                      "bob@example.org eve@example.org",
		"To: Bob <bob@example.org, eve@example.org":                                        "bob@example.org eve@example.org",
		"To: Bob (away <bob@example.org>":                                                  "bob@example.org",
		"To: Bob":                                                                          "",
		"To: J\xfcrgen <j@example.org>":                                                    "j@example.org",
		"To: " + strings.Repeat("x", 400) + "@example.org, bob@example.org":                "bob@example.org",
		"Bcc: anna@example.org":                                                            "",
	} {
		if got := strings.Join(factsOf(header).To, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", header, got, want)
		}
	}
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("%d@example.org", i))
	}
	if got := factsOf("To: " + strings.Join(many[:40], ", ") + "\r\nCc: " + strings.Join(many[40:], ", ")).To; !slices.Equal(got, many[:ring.MaxTo]) {
		t.Errorf("of 60 recipients %q", got)
	}
}

func factsList(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"List-Id: Developers <Dev.Example.org>":               "dev.example.org",
		"List-ID: <dev.example.org>":                          "dev.example.org",
		"List-Id: \"Dev, <all>\"\r\n <dev.example.org>":       "dev.example.org",
		"List-Id: dev.example.org":                            "dev.example.org",
		"List-Id: =?utf-8?Q?Entw=C3=BCrfe?= <dev.example.org": "dev.example.org",
		"List-Id: <" + strings.Repeat("x", 300) + ">":         strings.Repeat("x", listRunes-1) + "…",
		"List-Id: \xff<\xfe>":                                 "",
	} {
		if got := factsOf(header); got.List != want || got.Bulk != (want != "") {
			t.Errorf("%s: %q, bulk %v", header, got.List, got.Bulk)
		}
	}
}

func factsBulk(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"Precedence: bulk": true, "Precedence: LIST": true, "Precedence: junk (sorry)": true, "Precedence: first-class": false, "Precedence:": false,
		"List-Unsubscribe: <https://example.org/u>": true, "List-Unsubscribe: ": false,
		"Auto-Submitted: auto-generated": true, "Auto-Submitted: auto-replied; x=y": true, "Auto-Submitted: no": false, "Auto-Submitted: No (a person)": false,
		"Feedback-ID: 1.eu-west-1.x:AmazonSES": false,
		"Subject: bulk":                        false,
	} {
		if got := factsOf(header).Bulk; got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
}

func factsThread(t *testing.T) {
	t.Parallel()
	thread := func(ids ...string) (digests []string) {
		for _, id := range ids {
			digests = append(digests, factsOf("Message-ID: <"+id+">").Thread...)
		}
		return digests
	}
	for header, want := range map[string][]string{
		"Message-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\nIn-Reply-To: <2@x>": thread("1@x", "2@x", "3@x"),
		"Message-ID: <3@x>\r\nReferences: <1@x>\r\n <2@x>":                   thread("1@x", "2@x", "3@x"),
		"Message-ID: <3@x>\r\nIn-Reply-To: <2@x>":                            thread("2@x", "3@x"),
		"Message-ID: <3@x>\r\nReferences: <1@x>\r\nIn-Reply-To: <2@x>":       thread("1@x", "2@x", "3@x"),
		"Message-ID: <3@x>\r\nIn-Reply-To: Bob's mail of Monday <2@x>":       thread("2@x", "3@x"),
		"Message-ID: 3@x\r\nReferences: 1@x 2@x":                             thread("1@x", "2@x", "3@x"),
		"Message-ID: <3\r\n @x>\r\nReferences: <1@x><2@x>, <1@x>":            thread("1@x", "2@x", "3@x"),
		"Message-ID: <3@x>\r\nReferences: <1@x> <2@":                         thread("1@x", "3@x"),
		"References: <>": nil, "Subject: Re: tea": nil,
	} {
		d := Describe([]byte(header+"\r\n\r\n"), nil)
		if answers := len(want) > 1; !slices.Equal(d.Facts.Thread, want) || d.Answers != answers {
			t.Errorf("%s: %q, answers %v; want %q", header, d.Facts.Thread, d.Answers, want)
		}
	}
	var long strings.Builder
	for i := range 100 {
		fmt.Fprintf(&long, " <%d@x>\r\n", i)
	}
	got := factsOf("Message-ID: <own@x>\r\nReferences:" + long.String() + "In-Reply-To: <99@x>").Thread
	if want := append(thread("0@x"), thread("82@x", "99@x", "own@x")...); len(got) != ring.MaxThread || got[0] != want[0] || got[1] != want[1] || !slices.Equal(got[18:], want[2:]) {
		t.Errorf("of 100 references %q", got)
	}
}

func factsAttachment(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][2]bool{
		"text/plain": {}, "text/html; charset=utf-8": {}, "": {}, "multipart/alternative; boundary=b": {}, "multipart/report; boundary=b": {},
		"multipart/mixed; boundary=b": {true, true}, "multipart/signed; boundary=b": {false, true}, "multipart/related; boundary=b": {false, true},
		`multipart/alternative; boundary="Apple-Mail=_1"`: {false, true},
		"application/pdf; name=a.pdf":                     {true, false}, "image/jpeg": {true, false}, "message/rfc822": {true, false},
	} {
		d := Describe([]byte("Content-Type: "+value+"\r\n\r\n"), nil)
		if got := [2]bool{d.Facts.Attachment, d.Mixed}; got != want {
			t.Errorf("%s: %v", value, got)
		}
	}
}

func factsBehindRecipients(t *testing.T) {
	t.Parallel()
	header := "To: " + strings.Repeat("a@example.org,\r\n ", 100<<10/16) + "a@example.org\r\nFrom: Bob <bob@example.org>\r\nSubject: tea\r\nMessage-ID: <1@x>"
	d := Describe([]byte(header+"\r\n\r\n"), nil)
	if d.From != "Bob" || d.Subject != "tea" || !reflect.DeepEqual(d.Facts.To, []string{"a@example.org"}) || d.MessageID != "1@x" {
		t.Errorf("%s, %s, %q, %s", d.From, d.Subject, d.Facts.To, d.MessageID)
	}
}

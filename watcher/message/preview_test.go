package message

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestPreview(t *testing.T) {
	t.Parallel()
	t.Run("a plain text is decoded from its charset and encoding", plainTextPreview)
	t.Run("a text may be cut anywhere", textCutAnywhere)
	t.Run("only the sender's own text is shown", onlyOwnText)
	t.Run("a multipart is previewed by its first text", multipartPreview)
	t.Run("multiparts may be nested eight deep", nestedMultiparts)
	t.Run("HTML is previewed as its text", htmlPreview)
}

// previewAs describes a text under these header lines.
func previewAs(header, text string) string {
	return Describe([]byte(header+"\r\n\r\n"), []byte(text)).Preview
}

// crlf is a text as servers send it.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func plainTextPreview(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, text, want string }{
		{"Subject: tea", "Shall we?\r\n\r\nAt five,\r\n  Bob", "Shall we? At five, Bob"},
		{"Content-Type: text/plain; charset=utf-8", "Grüße", "Grüße"},
		{"Content-Type: text", "Gr\xfc\xdfe", "Grüße"},
		{"Content-Type: TEXT/PLAIN; format=flowed;\r\n\tcharset=\"ISO-8859-1\"; x", "Gr\xfc\xdfe", "Grüße"},
		{"Content-Type: text/plain; charset=us-ascii (Plain text)", "plain", "plain"},
		{"Content-Type: text/plain; charset=x-klingon", "nuqneH", "nuqneH"},
		{"Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit", "\xf0\xd2\xc9\xd7\xc5\xd4, \xda\xc1\xd7\xd4\xd2\xc1", "Привет, завтра"},
		{"Content-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: base64", "z/Do4uXyLCDn\r\n4OLy8OAg4iDv//L8", "Привет, завтра в пять"},
		{"Content-Type: text/plain; charset=ISO-2022-JP\r\nContent-Transfer-Encoding: 7bit", "\x1b$BL@F|$N2q5D$O8^;~$G$9\x1b(B", "明日の会議は五時です"},
		{"Content-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: base64", "u+HS6c2o1qrD98zs", "会议通知明天"},
		{"Content-Transfer-Encoding: Quoted-Printable", crlf("Gr=C3=BC=C3=9Fe aus dem =\nS=c3=bcden, 1 =3D 1, 2 =ZZ,=  \n!"), "Grüße aus dem Süden, 1 = 1, 2 =ZZ,!"},
		{"Content-Transfer-Encoding: x-uuencode", "begin 644 x\r\n#0V%T\r\n`\r\nend", ""},
		{"Content-Type: text/calendar", "BEGIN:VCALENDAR", ""},
		{"Content-Type: application/pdf", "%PDF", ""},
		{"Content-Disposition: attachment", "log", ""},
		{"Subject: empty", "", ""},
	} {
		if got := previewAs(c.header, c.text); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.header, got, c.want)
		}
	}
	if got := Describe([]byte("Subject: tea\n\n"), nil).Preview; got != "" {
		t.Errorf("without text: %q", got)
	}
}

func textCutAnywhere(t *testing.T) {
	t.Parallel()
	const whole = "Grü 你好"
	for _, c := range []struct{ header, text string }{
		{"Content-Type: text/plain; charset=utf-8", whole},
		{"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=utf-8", base64.StdEncoding.EncodeToString([]byte(whole))},
		{"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8", "Gr=C3=BC =E4=BD=A0=\r\n=E5=A5=BD"},
		{"Content-Type: text/plain; charset=gb2312", "Gr\xa8\xb9 \xc4\xe3\xba\xc3"},
		{"Content-Type: multipart/mixed; boundary=b", "--b\r\n\r\n" + whole},
	} {
		if got := previewAs(c.header, c.text); got != whole {
			t.Fatalf("%s: %q", c.header, got)
		}
		for end := range c.text {
			if got := previewAs(c.header, c.text[:end]); !strings.HasPrefix(whole, got) {
				t.Errorf("%s, cut at %d: %q", c.header, end, got)
			}
		}
	}
}

func onlyOwnText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"> old\n>> older\nNew.\n> old again\nMore.": "New. More.",
		"Yes.\n-- \nBob\nExample Ltd":               "Yes.",
		"Yes.\n--\nBob":                             "Yes.",
		"a -- b\n--- c":                             "a -- b --- c",
		"> all\n> quoted":                           "",
		"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n=abc\n-----END PGP MESSAGE-----\n":                                                                   "",
		"Hi\n-----BEGIN PGP MESSAGE-----\nVersion: 1\n\nhQEMA":                                                                                      "Hi",
		"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSigned tea.\n-----BEGIN PGP SIGNATURE-----\n\niQ\n-----END PGP SIGNATURE-----\nFooter": "Signed tea. Footer",
		"Key:\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nmQ\n-----END PGP PUBLIC KEY BLOCK-----\nbye":                                                   "Key: bye",
	} {
		for _, ends := range []string{text, crlf(text)} {
			if got := previewAs("Subject: tea", ends); got != want {
				t.Errorf("%q:\n got %q\nwant %q", ends, got, want)
			}
		}
	}
}

const alternative = `This is a multi-part message in MIME format.
--00000000000012
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe
--00000000000012
Content-Type: text/html; charset="UTF-8"

<p>Rich</p>
--00000000000012--
epilogue
`

func multipartPreview(t *testing.T) {
	t.Parallel()
	nested := "--outer\nContent-Type: multipart/alternative; boundary=00000000000012\n\n" + alternative + "--outer\nContent-Type: image/png\n\nPNG\n--outer--\n"
	for _, c := range []struct{ header, text, want string }{
		{`multipart/alternative; boundary="00000000000012"`, alternative, "Grüße"},
		{`multipart/alternative; charset=utf-8; boundary=00000000000012 ; x=y`, alternative, "Grüße"},
		{`multipart/alternative`, alternative, "Grüße"}, // the boundary is lost
		{`multipart/alternative; boundary="00000000000012`, alternative, "Grüße"},
		{`multipart/mixed; boundary=outer`, nested, "Grüße"},
		{`multipart/mixed; boundary=outer`, nested[:strings.Index(nested, "<p>")], "Grüße"},
		{`multipart/alternative; boundary=b`, "--b\nContent-Type: text/html\n\n<b>Rich</b> text\n--b\nContent-Type: text/plain\n\nPlain text\n--b--\n", "Plain text"},
		{`multipart/alternative; boundary=b`, "--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n<b>Rich</b> text\n--b--\n", "Rich text"},
		{`multipart/mixed; boundary=b`, "--b\nContent-Type: text/html\n\nLetter\n--b\nContent-Type: text/plain\n\nlist footer\n--b--\n", "Letter"},
		{`multipart/mixed; boundary=b`, "--b\nContent-Type: text/plain\nContent-Disposition: ATTACHMENT;\n filename=a.txt\n\nattached\n--b\n\nLetter\n--b--\n", "Letter"},
		{`multipart/mixed; boundary=b`, "--b\nContent-Type: message/rfc822\n\nSubject: forwarded\n\nx\n--b--\n", ""},
		{`multipart/mixed; boundary="a b "`, "--a b\n\nLetter\n--a b--\n", "Letter"},
		{`multipart/mixed; boundary=b`, "--b\n\nLetter\n--bb\nstill it\n--b--\nno more", "Letter --bb still it"},
		{`multipart/mixed; boundary=b`, "--b--\n--b\n\nafter the end", ""},
		{`multipart/signed; boundary=b`, "--b\n\nSigned\n--b\nContent-Type: application/pgp-signature\n\nsig\n--b--\n", "Signed"},
		{`multipart/encrypted; boundary=b`, "--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: text/plain\n\nhQ\n--b--\n", ""},
		{`application/pkcs7-mime; smime-type=enveloped-data`, "MIIB", ""},
		{`multipart/mixed; boundary=b`, "no part", ""},
		{`multipart/mixed; boundary=b`, "", ""},
	} {
		for _, text := range []string{c.text, crlf(c.text)} {
			if got := previewAs("Content-Type: "+c.header, text); got != c.want {
				t.Errorf("%s\n%s\n got %q\nwant %q", c.header, text, got, c.want)
			}
		}
	}
}

func nestedMultiparts(t *testing.T) {
	t.Parallel()
	for levels, want := range map[int]string{1: "Letter", deepest: "Letter", deepest + 1: "", 50: ""} {
		var text strings.Builder
		for level := range levels - 1 {
			fmt.Fprintf(&text, "--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n", level, level+1)
		}
		fmt.Fprintf(&text, "--b%d\n\nLetter", levels-1)
		if got := previewAs("Content-Type: multipart/mixed; boundary=b0", text.String()); got != want {
			t.Errorf("%d levels: %q", levels, got)
		}
	}
}

func htmlPreview(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"<p>Hello</p><p>world</p>":                            "Hello world",
		"<b>a</b>b<br>c<td>d</td><td>e</td>":                  "ab c d e",
		"1 &lt; 2 &amp; 3&nbsp;&euro; &#8212; &hellip; a < b": "1 < 2 & 3 € — … a < b",
		"<!DOCTYPE html><html><head><title>T</title><style>p{}</style><script>if (a < b) {}</script></head><body>Body": "Body",
		"<!-- no --><![if !mso]>yes<![endif]><!--[if mso]>no<![endif]-->":                                              "yes",
		"<div style='display:none'>Teaser&zwnj;&nbsp;&#847;&zwnj;&nbsp;</div>Letter":                                   "Teaser Letter",
		"New.<blockquote type=\"cite\">old<blockquote type=cite>older</blockquote>old</blockquote> End.":               "New. End.",
		"<blockquote>wise words</blockquote>":                                                                          "wise words",
		"<div>New.</div><blockquote class='x gmail_quote'>old":                                                         "New.",
		"Hello <a href=\"http://exam":                                                                                  "Hello",
		"Hello<style>p {":                                                                                              "Hello",
		"<img alt=x src=y>Hello<o:p>&nbsp;</o:p>there":                                                                 "Hello there",
		"no tags at all": "no tags at all",
	} {
		if got := previewAs("Content-Type: text/html; charset=utf-8", text); got != want {
			t.Errorf("%s:\n got %q\nwant %q", text, got, want)
		}
	}
}

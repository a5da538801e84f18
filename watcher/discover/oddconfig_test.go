package discover

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestOddConfig tries configuration files as people and programs write them.
func TestOddConfig(t *testing.T) {
	t.Parallel()
	plain := configFile("imap.example.org")
	const want = "imap.example.org:993 tls ann"
	within := func(old, new string) string { return strings.Replace(plain, old, new, 1) }
	server := func(host, port, security, username string) string {
		return `<incomingServer type="imap"><hostname>` + host + `</hostname><port>` + port + `</port><socketType>` + security + `</socketType><username>` + username + `</username></incomingServer>`
	}
	file := func(servers ...string) string {
		return "<clientConfig><emailProvider>" + strings.Join(servers, "") + "</emailProvider></clientConfig>"
	}
	second := server("imap.example.org", "993", "SSL", "%EMAILLOCALPART%")
	for name, c := range map[string]struct{ file, want string }{
		"as it should be":                         {plain, want},
		"with a mark of its byte order":           {"\ufeff" + plain, want},
		"in UTF-16, little end first":             {inUTF16(within(`"1.0"`, `"1.0" encoding="UTF-16"`), true), want},
		"in UTF-16, big end first":                {inUTF16(plain, false), want},
		"in Latin-1, and it says so":              {strings.NewReplacer(`"1.0"`, `"1.0" encoding="ISO-8859-1"`, "<domain>", "<displayName>f\xfcr alle</displayName><domain>").Replace(plain), want},
		"in Latin-1, and it says UTF-8":           {within("<domain>", "<displayName>f\xfcr alle</displayName><domain>"), want},
		"in a character set that nobody knows":    {within(`"1.0"?>`, `"1.0" encoding="x-none"?>`), want},
		"with a byte of zero":                     {within("imap.example.org", "imap.exa\x00mple.org"), ""},
		"without its first line":                  {strings.TrimPrefix(plain, `<?xml version="1.0"?>`), want},
		"after an empty line":                     {"\n" + plain, want},
		"with entities of HTML":                   {within("<domain>", "<displayName>Caf&eacute;&nbsp;&copy;</displayName><domain>"), want},
		"with a bare ampersand":                   {within("<domain>", "<displayName>Tom & Anna</displayName><domain>"), want},
		"with a namespace":                        {within("<clientConfig", `<clientConfig xmlns="urn:example"`), want},
		"with comments and CDATA":                 {within("imap.example.org", "<!-- the new one -->imap<![CDATA[.example.org]]>"), want},
		"with spaces and lines":                   {within("imap.example.org", "\n\t\t imap.example.org \r\n"), want},
		"with the domain in the name":             {within("imap.example.org", "imap.%EMAILDOMAIN%"), want},
		"in capitals":                             {strings.NewReplacer(`"imap"`, `"IMAP"`, "SSL", "ssl", "imap.e", "IMAP.E").Replace(plain), want},
		"with text behind its end":                {plain + "<html><body>0.003 s</body></html>", want},
		"cut off":                                 {plain[:len(plain)/2], ""},
		"with a port in words before another":     {file(server("a.example.org", "imaps", "SSL", "x"), second), want},
		"with no port before another":             {file(server("a.example.org", "", "SSL", "x"), second), want},
		"with a port too high before another":     {file(server("a.example.org", "65536", "SSL", "x"), second), want},
		"with a negative port before another":     {file(server("a.example.org", "-1", "SSL", "x"), second), want},
		"with a user name to fill in":             {file(server("a.example.org", "993", "SSL", "%USERNAME%"), second), want},
		"with a line in the user name":            {file(server("a.example.org", "993", "SSL", "x\r\ny"), second), want},
		"with a user name as long as a mail":      {file(server("a.example.org", "993", "SSL", strings.Repeat("x", 257)), second), want},
		"with two providers":                      {strings.Replace(file(server("", "", "", ""), second), second, "</emailProvider><emailProvider>"+second, 1), want},
		"with a server twice":                     {file(second, second), want},
		"with ports for both":                     {file(second, server("imap.example.org", "143", "STARTTLS", "ann")), want + ", imap.example.org:143 starttls ann"},
		"with many servers":                       {file(strings.Repeat(server("a%EMAILLOCALPART%.example.org", "993", "SSL", "x"), 200)), "aann.example.org:993 tls x"},
		"with the server beside the provider":     {"<clientConfig>" + second + "</clientConfig>", ""},
		"with another name":                       {strings.ReplaceAll(plain, "clientConfig", "config"), ""},
		"with a loop of entities":                 {`<!DOCTYPE x [<!ENTITY a "&b;"><!ENTITY b "&a;">]>` + file(server("&a;", "993", "SSL", "x")), ""},
		"with entities that grow":                 {bomb() + file(server("&z;", "993", "SSL", "x")), ""},
		"with an entity from elsewhere":           {`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>` + file(server("&a;", "993", "SSL", "x")), ""},
		"with an entity from elsewhere as a name": {`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>` + file(server("a.example.org", "993", "SSL", "&a;")), "a.example.org:993 tls &a;"},
		"deeper than a person writes":             {file(strings.Repeat("<x>", 20000), second), ""},
		"with a very long name":                   {file(server(strings.Repeat("a.", 30000)+"org", "993", "SSL", "x"), second), want},
		"with very many attributes":               {within("<emailProvider", "<emailProvider "+attributes(3000)), want},
	} {
		said := map[Source]found{Autoconfig: parseConfig([]byte(c.file), Autoconfig, "ann@example.org")}
		var got []string
		for _, s := range combine("ann@example.org", said).Settings {
			got = append(got, fmt.Sprintf("%s:%d %s %s", s.Host, s.Port, s.Security, s.Username))
		}
		if list := strings.Join(got, ", "); list != c.want {
			t.Errorf("a file %s: %q; want %q", name, list, c.want)
		}
	}
}

func inUTF16(text string, little bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		high, low := byte(unit>>8), byte(unit)
		if little {
			high, low = low, high
		}
		b.Write([]byte{high, low})
	}
	return b.String()
}

// bomb is a declaration of entities, the last of which would have 2^25 characters.
func bomb() string {
	declared := `<!ENTITY a "aa">`
	for c := 'b'; c <= 'z'; c++ {
		declared += fmt.Sprintf(`<!ENTITY %c "&%c;&%c;">`, c, c-1, c-1)
	}
	return "<!DOCTYPE x [" + declared + "]>"
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `a%d="" `, i)
	}
	return b.String()
}

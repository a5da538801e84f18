package discover

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"idlepush/netguard"
)

// clientConfig is what matters of Thunderbird's configuration format. Some files have oAuth2 inside
// of emailProvider.
type clientConfig struct {
	XMLName  xml.Name    `xml:"clientConfig"`
	OAuth    oauthConfig `xml:"oAuth2"`
	Provider struct {
		OAuth    oauthConfig      `xml:"oAuth2"`
		Incoming []incomingServer `xml:"incomingServer"`
	} `xml:"emailProvider"`
}

type incomingServer struct {
	Type           string   `xml:"type,attr"`
	Host           string   `xml:"hostname"`
	Port           string   `xml:"port"`
	Security       string   `xml:"socketType"`
	Username       string   `xml:"username"`
	Authentication []string `xml:"authentication"`
}

// decode is lenient, because all that matters in a file is ASCII: it accepts a wrong encoding and
// undeclared entities. It expands no entities.
func decode(file []byte) (config clientConfig, err error) {
	if text, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), file); err == nil { // UTF-16
		file = text
	}
	d := xml.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(file, []byte("?"))))
	d.Strict = false
	d.CharsetReader = func(_ string, text io.Reader) (io.Reader, error) { return text, nil }
	return config, d.Decode(&config)
}

// parseConfig returns the IMAP servers of a configuration file that encrypt and can be logged in
// to, at most 5. The file is not trusted.
func parseConfig(file []byte, source Source, email string) (f found) {
	config, err := decode(file)
	if err != nil {
		return found{}
	}
	issuer := cmp.Or(config.OAuth.issuer(), config.Provider.OAuth.issuer())
	for _, server := range config.Provider.Incoming {
		s, ok := server.settings(email)
		if !ok {
			continue
		}
		s.Source = source
		switch i := slices.Index(s.Auth, OAuth); {
		case i < 0 || s.OAuth != "":
		case issuer != "":
			s.OAuth = issuer
		default:
			s.Auth = slices.Delete(s.Auth, i, i+1)
			f.oauth = f.oauth || len(s.Auth) == 0
		}
		if len(s.Auth) > 0 && len(f.settings) < 5 {
			f.settings = append(f.settings, s)
		}
	}
	return f
}

// settings returns what a file says of a server, in the words of the table if it has that server.
// Not ok: it is no IMAP server, does not encrypt, or is not valid. Source is left to the caller,
// and OAuth, too, if the table lacks the server.
func (i incomingServer) settings(email string) (s Settings, ok bool) {
	security := map[string]string{"SSL": "tls", "STARTTLS": "starttls"}[strings.ToUpper(strings.TrimSpace(i.Security))]
	host := strings.ToLower(fill(strings.TrimSpace(i.Host), email))
	username := fill(strings.TrimSpace(i.Username), email)
	port, err := strconv.ParseUint(strings.TrimSpace(i.Port), 10, 16)
	if !strings.EqualFold(strings.TrimSpace(i.Type), "imap") || security == "" || !netguard.IsHostName(host) || err != nil || port == 0 || username == "" || len(username) > 256 ||
		strings.ContainsRune(username, '%') || strings.ContainsFunc(username, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Settings{}, false
	}
	s = Settings{Host: host, Port: int(port), Security: security, Username: username, Auth: []string{Password}}
	if p := providerAt(host); p != nil {
		s.Auth, s.OAuth = strings.Fields(p.auth), p.oauth
	} else if len(i.Authentication) > 0 {
		s.Auth = read(i.Authentication)
	}
	return s, true
}

// read returns the ways to log in of a server's elements authentication, each once.
func read(authentication []string) (auth []string) {
	for _, way := range []struct {
		way   string
		names []string
	}{
		{Password, []string{"password-cleartext", "plain", "password-encrypted", "secure"}},
		{OAuth, []string{"OAuth2"}},
	} {
		if slices.ContainsFunc(authentication, func(name string) bool { return slices.Contains(way.names, strings.TrimSpace(name)) }) {
			auth = append(auth, way.way)
		}
	}
	return auth
}

// fill puts the address into the places that the format has for it.
func fill(text, email string) string {
	local, domain := split(email)
	return strings.NewReplacer("%EMAILADDRESS%", email, "%EMAILLOCALPART%", local, "%EMAILDOMAIN%", domain).Replace(text)
}

// split parts an address at its last @.
func split(email string) (local, domain string) {
	i := strings.LastIndexByte(email, '@')
	return email[:max(i, 0)], email[i+1:]
}

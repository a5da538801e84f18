package discover

import (
	"encoding/xml"
	"slices"
	"strings"

	"idlepush/netguard"
)

// clientConfig is what matters of Thunderbird's configuration format.
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Provider struct {
		Incoming []struct {
			Type           string   `xml:"type,attr"`
			Host           string   `xml:"hostname"`
			Port           int      `xml:"port"`
			Security       string   `xml:"socketType"`
			Username       string   `xml:"username"`
			Authentication []string `xml:"authentication"`
		} `xml:"incomingServer"`
	} `xml:"emailProvider"`
}

// parseConfig returns the IMAP servers of a configuration file that encrypt and take a password.
// The file is not trusted.
func parseConfig(file []byte, source Source, email string) (f found) {
	var config clientConfig
	if xml.Unmarshal(file, &config) != nil {
		return found{}
	}
	for _, server := range config.Provider.Incoming {
		security := map[string]string{"SSL": "tls", "STARTTLS": "starttls"}[strings.ToUpper(strings.TrimSpace(server.Security))]
		host := strings.ToLower(fill(strings.TrimSpace(server.Host), email))
		username := fill(strings.TrimSpace(server.Username), email)
		if server.Type != "imap" || security == "" || !netguard.IsHostName(host) || server.Port < 1 || server.Port > 65535 || username == "" || len(username) > 256 ||
			strings.ContainsRune(username, '%') || strings.ContainsFunc(username, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			continue
		}
		if len(server.Authentication) > 0 && !slices.ContainsFunc(server.Authentication, takesPassword) {
			f.oauth = f.oauth || slices.Contains(server.Authentication, "OAuth2")
			continue
		}
		f.settings = append(f.settings, Settings{Host: host, Port: server.Port, Security: security, Username: username, Source: source})
		if len(f.settings) == 5 {
			break
		}
	}
	return f
}

func takesPassword(authentication string) bool {
	switch strings.TrimSpace(authentication) {
	case "password-cleartext", "plain", "password-encrypted", "secure":
		return true
	}
	return false
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

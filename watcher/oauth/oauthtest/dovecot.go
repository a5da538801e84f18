package oauthtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// DovecotSettings returns what lets Dovecot 2.3 accept the access tokens of this server, by XOAUTH2
// and OAUTHBEARER, beside passwords. The user name is the mailbox.
func (s *Server) DovecotSettings(t testing.TB) string {
	t.Helper()
	file := filepath.Join(filepath.Dir(s.CAFile), "dovecot-oauth2.conf.ext")
	at := strings.Replace(s.Issuer, "https://", "https://"+askerName+":"+askerPassword+"@", 1)
	settings := "introspection_url = " + at + IntrospectPath + `
introspection_mode = post
force_introspection = yes
username_attribute = username
active_attribute = active
active_value = true
timeout_msecs = 10000
tls_ca_cert_file = ` + s.CAFile + "\n"
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	return `
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ` + file + `
}
`
}

package imaptest

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// bearerForms are the messages of XOAUTH2 and OAUTHBEARER (RFC 7628 section 3.1), with the user
// name and the token, and what a client must answer to the reason for a refusal.
var bearerForms = map[string]struct {
	form    *regexp.Regexp
	closing string
}{
	"XOAUTH2":     {regexp.MustCompile(`^user=([^\x01]*)\x01auth=Bearer ([ -~]+)\x01\x01$`), ""},
	"OAUTHBEARER": {regexp.MustCompile(`^n,a=((?:[^\x01,=]|=2C|=3D)*),\x01host=[^\x01]+\x01port=[0-9]+\x01auth=Bearer ([ -~]+)\x01\x01$`), "AQ=="},
}

// logInByToken reads what a client shows by one of the mechanisms, and reports whether the script
// takes it. If not, it says why and waits for the answer to that, as Google does. A client that
// does not keep to the mechanism breaks the connection.
func (t *Talk) logInByToken(mechanism, response string) bool {
	want := bearerForms[mechanism]
	message, err := base64.StdEncoding.DecodeString(response)
	shown := want.form.FindStringSubmatch(string(message))
	if err != nil || shown == nil {
		t.Bye("this is not " + mechanism)
		return false
	}
	user := shown[1]
	if mechanism == "OAUTHBEARER" {
		user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(user)
	}
	if t.script.Opens == nil || t.script.Opens(user, shown[2]) {
		return true
	}
	if t.script.Reason != "" {
		t.Say("+ %s\r\n", base64.StdEncoding.EncodeToString([]byte(t.script.Reason)))
		if t.Line() != want.closing {
			t.Bye("this does not end " + mechanism)
		}
	}
	return false
}

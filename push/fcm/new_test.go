package fcm

import (
	"encoding/json"
	"strings"
	"testing"

	"idlepush/push/pushtest"
)

func TestNew(t *testing.T) {
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	whole := fcm.Credentials(origin)
	change := func(key, value string) []byte {
		fields := make(map[string]string)
		if err := json.Unmarshal(whole, &fields); err != nil {
			t.Fatal(err)
		}
		fields[key] = value
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		credentials []byte
		tells       string
	}{
		"nothing":                 {nil, "JSON"},
		"cut off":                 {whole[:len(whole)/2], "JSON"},
		"a path":                  {[]byte("/etc/secret-place.json"), "JSON"},
		"a list":                  {[]byte(`["secret-place"]`), "JSON"},
		"google-services.json":    {[]byte(`{"project_info":{"project_id":"secret-place"}}`), `"type"`},
		"another type":            {change("type", "authorized_user"), `"type"`},
		"no project":              {change("project_id", ""), `"project_id"`},
		"a project with a path":   {change("project_id", "a/../secret-place"), `"project_id"`},
		"no email":                {change("client_email", ""), `"client_email"`},
		"no key":                  {change("private_key", ""), `"private_key"`},
		"a key that is no PEM":    {change("private_key", "secret-place"), `"private_key"`},
		"a key that is damaged":   {change("private_key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"), `"private_key"`},
		"a token URI without URL": {change("token_uri", "secret-place"), `"token_uri"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Credentials: c.credentials})
			if err == nil {
				t.Fatal("taken")
			}
			text := err.Error()
			if !strings.HasPrefix(text, "fcm-credentials: want the JSON key file of a service account") || !strings.Contains(text, c.tells) {
				t.Errorf("does not say what is wanted: %s", text)
			}
			for _, secret := range []string{"secret-place", "c2VjcmV0", "BEGIN", "family-mail"} {
				if strings.Contains(text, secret) {
					t.Errorf("tells %q: %s", secret, text)
				}
			}
		})
	}
	for _, endpoint := range []string{"fcm.googleapis.com/v1", "ftp://host/v1", "http://", "://"} {
		_, err := New(Config{Credentials: whole, Endpoint: endpoint})
		if err == nil || !strings.HasPrefix(err.Error(), "fcm-endpoint: want a URL") {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}

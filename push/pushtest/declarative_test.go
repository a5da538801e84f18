package pushtest_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
)

func TestDeclarative(t *testing.T) {
	signer := newKey(t)
	service := pushtest.NewWebPush()
	server := httptest.NewServer(service)
	defer server.Close()
	sub, err := service.Subscribe(server.URL, publicKey(t, signer))
	if err != nil {
		t.Fatal(err)
	}
	const whole = `{"web_push":8030,"notification":{"title":"Ann","navigate":"https://push.example.org/","app_badge":0},"idlepush":{}}`
	for name, c := range map[string]struct {
		old, new string
		status   int
	}{
		"whole":            {"", "", 201},
		"without a badge":  {`,"app_badge":0`, ``, 201},
		"the badge a text": {`"app_badge":0`, `"app_badge":"0"`, 400},
		"a badge below 0":  {`"app_badge":0`, `"app_badge":-1`, 400},
		"a badge too high": {`"app_badge":0`, `"app_badge":2147483648`, 400},
		"another number":   {"8030", "8031", 400},
		"no title":         {`"Ann"`, `""`, 400},
		"no URL":           {`"https://push.example.org/"`, `""`, 400},
	} {
		q := valid(t, server.URL, sub, signer)
		if q.body, err = push.Encrypt([]byte(strings.Replace(whole, c.old, c.new, 1)), sub.Keys); err != nil {
			t.Fatal(err)
		}
		if status, answer := q.send(t, sub.Endpoint); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, answer, c.status)
		}
	}
}

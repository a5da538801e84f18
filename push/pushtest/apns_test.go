package pushtest_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/push/pushtest"
)

// providerToken returns a provider token of the service's key with changed claims or header.
func providerToken(t *testing.T, apns *pushtest.APNs, kid, iss string, issued time.Time, forged bool) string {
	t.Helper()
	key := privateKey(t, apns.Key).(*ecdsa.PrivateKey)
	return "bearer " + compact(t, map[string]any{"alg": "ES256", "kid": kid}, map[string]any{"iss": iss, "iat": issued.Unix()}, func(hash []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, key, hash)
		if err != nil {
			t.Fatal(err)
		}
		if forged {
			r.Add(r, s)
		}
		signature := make([]byte, 64)
		r.Mod(r, key.Params().N).FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature
	})
}

func newAPNs(t *testing.T) *pushtest.APNs {
	t.Helper()
	apns, err := pushtest.NewAPNs("org.example.mail")
	if err != nil {
		t.Fatal(err)
	}
	return apns
}

// validAPNs returns a valid request.
func validAPNs(t *testing.T, apns *pushtest.APNs, token, payload string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/3/device/"+token, strings.NewReader(payload))
	r.ProtoMajor, r.ProtoMinor = 2, 0
	for name, value := range map[string]string{
		"Authorization": providerToken(t, apns, apns.KeyID, apns.TeamID, time.Now(), false), "Apns-Topic": apns.Topic,
		"Apns-Push-Type": "alert", "Apns-Priority": "10", "Apns-Expiration": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
		"Apns-Collapse-Id": strings.Repeat("x", 64), "Apns-Id": "123e4567-e89b-12d3-a456-426655440000",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// aps returns the alert with one more key.
func aps(more string) string {
	return strings.Replace(alertPayload, `"mutable-content"`, more+`,"mutable-content"`, 1)
}

const alertPayload = `{"aps":{"alert":{"title":"New mail"},"sound":"default","mutable-content":1},"idlepush":{"v":1}}`

func TestAPNs(t *testing.T) {
	t.Run("it refuses what Apple refuses", apnsRefuses)
	t.Run("it accepts only alerts that the phone can read", apnsAlerts)
	t.Run("a background push shows nothing and has low priority", apnsBackground)
	t.Run("the sandbox has the same key, and phones of its own", apnsSandbox)
	t.Run("it knows its phones, and since when they are gone", apnsPhones)
	t.Run("it accepts one new provider token in 20 minutes", apnsProviderToken)
	t.Run("faults of a token come first, and end", apnsFaults)
}

func apnsRefuses(t *testing.T) {
	header := func(name, value string) func(*testing.T, *pushtest.APNs, *http.Request) {
		return func(_ *testing.T, _ *pushtest.APNs, r *http.Request) { r.Header.Set(name, value) }
	}
	bearer := func(kid, iss string, age time.Duration, forged bool) func(*testing.T, *pushtest.APNs, *http.Request) {
		return func(t *testing.T, apns *pushtest.APNs, r *http.Request) {
			r.Header.Set("Authorization", providerToken(t, apns, apns.KeyID+kid, apns.TeamID+iss, time.Now().Add(-age), forged))
		}
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *pushtest.APNs, *http.Request)
		status int
		reason string
	}{
		"nothing wrong":      {header("X-Other", "x"), 200, ""},
		"HTTP/1.1":           {func(_ *testing.T, _ *pushtest.APNs, r *http.Request) { r.ProtoMajor = 1 }, 505, ""},
		"GET":                {func(_ *testing.T, _ *pushtest.APNs, r *http.Request) { r.Method = "GET" }, 405, "MethodNotAllowed"},
		"another path":       {func(_ *testing.T, _ *pushtest.APNs, r *http.Request) { r.RequestURI = "/3/device/" }, 404, "BadPath"},
		"a path with more":   {func(_ *testing.T, _ *pushtest.APNs, r *http.Request) { r.RequestURI += "?a=b" }, 404, "BadPath"},
		"no bearer":          {header("Authorization", ""), 403, "MissingProviderToken"},
		"no JWT":             {header("Authorization", "bearer x"), 403, "InvalidProviderToken"},
		"another key id":     {bearer("x", "", 0, false), 403, "InvalidProviderToken"},
		"another team":       {bearer("", "x", 0, false), 403, "InvalidProviderToken"},
		"a forged signature": {bearer("", "", 0, true), 403, "InvalidProviderToken"},
		"an hour old":        {bearer("", "", time.Hour+time.Second, false), 403, "ExpiredProviderToken"},
		"from the future":    {bearer("", "", -2*time.Minute, false), 403, "InvalidProviderToken"},
		"almost an hour old": {bearer("", "", time.Hour-time.Second, false), 200, ""},
		"no topic":           {header("Apns-Topic", ""), 400, "MissingTopic"},
		"another topic":      {header("Apns-Topic", "org.example.other"), 400, "DeviceTokenNotForTopic"},
		"background at once": {header("Apns-Push-Type", "background"), 400, "BadPriority"},
		"voip":               {header("Apns-Push-Type", "voip"), 400, "InvalidPushType"},
		"a bad priority":     {header("Apns-Priority", "7"), 400, "BadPriority"},
		"no expiration":      {header("Apns-Expiration", ""), 400, "BadExpirationDate"},
		"a bad expiration":   {header("Apns-Expiration", "12x"), 400, "BadExpirationDate"},
		"a far expiration":   {header("Apns-Expiration", "99999999999"), 400, "BadExpirationDate"},
		"a long collapse id": {header("Apns-Collapse-Id", strings.Repeat("x", 65)), 400, "BadCollapseId"},
		"an upper case UUID": {header("Apns-Id", "123E4567-E89B-12D3-A456-426655440000"), 400, "BadMessageId"},
		"a header twice":     {func(_ *testing.T, _ *pushtest.APNs, r *http.Request) { r.Header.Add("Apns-Topic", "x") }, 400, "DuplicateHeaders"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				apns := newAPNs(t)
				r := validAPNs(t, apns, apns.Register(nil), alertPayload)
				c.change(t, apns, r)
				status, answer := answerTo(t, apns, r)
				if reason, _ := answer["reason"].(string); status != c.status || reason != c.reason {
					t.Errorf("%d %q, want %d %q; violations: %v", status, reason, c.status, c.reason, apns.Violations())
				}
				if (len(apns.Violations()) == 0) != (c.status == 200) || (len(apns.Messages()) == 1) != (c.status == 200) {
					t.Errorf("violations %v, %d messages", apns.Violations(), len(apns.Messages()))
				}
			})
		})
	}
}

func apnsAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns := newAPNs(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		clear, keyed := apns.Register(nil), apns.Register(receiver)
		for name, c := range map[string]struct {
			token, payload string
			status         int
		}{
			"in the clear":        {clear, alertPayload, 200},
			"all the room":        {clear, alertPayload + strings.Repeat(" ", 4096-len(alertPayload)), 200},
			"one byte too many":   {clear, alertPayload + strings.Repeat(" ", 4097-len(alertPayload)), 413},
			"empty":               {clear, "", 400},
			"no JSON":             {clear, "x", 400},
			"two objects":         {clear, alertPayload + "{}", 400},
			"no aps":              {clear, `{"idlepush":{}}`, 400},
			"no title":            {clear, strings.Replace(alertPayload, "New mail", "", 1), 400},
			"not mutable":         {clear, strings.Replace(alertPayload, `"mutable-content":1`, `"mutable-content":0`, 1), 400},
			"another key":         {clear, strings.Replace(alertPayload, "idlepush", "other", 1), 400},
			"a badge":             {clear, aps(`"badge":3`), 200},
			"no badge":            {clear, aps(`"badge":0`), 200},
			"a badge below none":  {clear, aps(`"badge":-1`), 400},
			"a badge of words":    {clear, aps(`"badge":"3"`), 400},
			"half a badge":        {clear, aps(`"badge":1.5`), 400},
			"time-sensitive":      {clear, aps(`"interruption-level":"time-sensitive"`), 200},
			"another level":       {clear, aps(`"interruption-level":"urgent"`), 400},
			"a level as a number": {clear, aps(`"interruption-level":2`), 400},
			"a thread":            {clear, aps(`"thread-id":"account1"`), 200},
			"a thread's number":   {clear, aps(`"thread-id":7`), 400},
			"an unknown key":      {clear, aps(`"priority":10`), 400},
			"ciphertext unasked":  {clear, strings.Replace(alertPayload, `"idlepush":{"v":1}`, `"encrypted":"AAAA"`, 1), 400},
			"clear unwanted":      {keyed, alertPayload, 400},
			"not for its keys":    {keyed, strings.Replace(alertPayload, `"idlepush":{"v":1}`, `"encrypted":"AAAA"`, 1), 400},
		} {
			before := len(apns.Violations())
			status, _ := answerTo(t, apns, validAPNs(t, apns, c.token, c.payload))
			if status != c.status || len(apns.Violations()) > before != (c.status != 200) {
				t.Errorf("%s: %d, want %d; violations: %v", name, status, c.status, apns.Violations()[before:])
			}
		}
	})
}

func apnsBackground(t *testing.T) {
	const silent = `{"aps":{"content-available":1},"idlepush":{"v":1}}`
	with := func(more string) string { return strings.Replace(silent, `{"content`, `{`+more+`,"content`, 1) }
	for name, c := range map[string]struct {
		payload, priority string
		status            int
	}{
		"as promised":        {silent, "5", 200},
		"at once":            {silent, "10", 400},
		"an empty alert":     {with(`"alert":{}`), "5", 400},
		"an alert":           {with(`"alert":{"title":"New mail"}`), "5", 400},
		"an alert in words":  {with(`"alert":"New mail"`), "5", 400},
		"a sound":            {with(`"sound":""`), "5", 400},
		"a badge":            {with(`"badge":0`), "5", 400},
		"a level":            {with(`"interruption-level":"passive"`), "5", 400},
		"not to wake an app": {strings.Replace(silent, "1", "0", 1), "5", 400},
	} {
		synctest.Test(t, func(t *testing.T) {
			apns := newAPNs(t)
			r := validAPNs(t, apns, apns.Register(nil), c.payload)
			r.Header.Set("Apns-Push-Type", "background")
			r.Header.Set("Apns-Priority", c.priority)
			status, _ := answerTo(t, apns, r)
			if status != c.status || (len(apns.TakeViolations()) == 0) != (c.status == 200) || len(apns.Violations()) != 0 {
				t.Errorf("%s: %d, want %d", name, status, c.status)
			}
		})
	}
}

func apnsSandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns := newAPNs(t)
		sandbox := apns.Sandbox()
		here, there := apns.Register(nil), sandbox.Register(nil)
		for token, want := range map[string]int{here: 400, there: 200} {
			if status, answer := answerTo(t, sandbox, validAPNs(t, apns, token, alertPayload)); status != want {
				t.Errorf("%d %v, want %d", status, answer, want)
			}
		}
	})
}

func apnsPhones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns := newAPNs(t)
		token := apns.Register(nil)
		if status, answer := answerTo(t, apns, validAPNs(t, apns, strings.Repeat("0a", 32), alertPayload)); status != 400 || answer["reason"] != "BadDeviceToken" {
			t.Errorf("unknown: %d %v", status, answer)
		}
		since := time.Now().Add(-time.Minute)
		apns.Unregister(token, since)
		status, answer := answerTo(t, apns, validAPNs(t, apns, token, alertPayload))
		if status != 410 || answer["reason"] != "Unregistered" || answer["timestamp"] != float64(since.UnixMilli()) {
			t.Errorf("gone: %d %v", status, answer)
		}
		if v := apns.Violations(); len(v) > 0 {
			t.Error(v)
		}
	})
}

func apnsProviderToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns := newAPNs(t)
		token := apns.Register(nil)
		for i, c := range []struct {
			after  time.Duration
			status int
		}{
			{0, 200}, // the first
			{0, 200}, // of the same second: the same
			{time.Minute, 429},
			{18 * time.Minute, 429},
			{time.Minute, 200}, // the first was seen 20 minutes ago, and no refused one counts
			{19 * time.Minute, 429},
			{time.Minute, 200},
		} {
			time.Sleep(c.after)
			if status, answer := answerTo(t, apns, validAPNs(t, apns, token, alertPayload)); status != c.status {
				t.Errorf("step %d: %d %v, want %d", i, status, answer, c.status)
			}
		}
	})
}

func apnsFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns := newAPNs(t)
		first, second := apns.Register(nil), apns.Register(nil)
		apns.Fail("", pushtest.Fault{Status: 503, Reason: "Shutdown"})
		apns.Fail(first, pushtest.Fault{Status: 429, Reason: "TooManyRequests", Times: 2})
		apns.Fail(first, pushtest.Fault{Status: 500, Accepted: true, Times: 1})
		step := func(token string, want int) {
			t.Helper()
			if status, _ := answerTo(t, apns, validAPNs(t, apns, token, alertPayload)); status != want {
				t.Errorf("%d, want %d", status, want)
			}
		}
		step(first, 429)
		step(second, 503)
		step(first, 429)
		step(first, 500)
		step(first, 503)
		apns.ClearFaults()
		step(first, 200)
		if n := len(apns.Messages()); n != 2 {
			t.Errorf("%d messages, want the one whose answer was lost and the last", n)
		}
	})
}

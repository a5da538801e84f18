package webpush_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/sendertest"
	"idlepush/push/webpush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

func TestSend(t *testing.T) {
	t.Run("a browser gets a declarative message", sendDeclarative)
	t.Run("a UnifiedPush server is reached over plain HTTP if that is permitted", sendUnifiedPush)
	t.Run("a message without a link is not marked as declarative", sendWithoutURL)
	t.Run("the badge is a number in the notification", sendBadge)
	t.Run("the largest message is sent, and a larger one is refused without a request", sendLargest)
	t.Run("a message that cannot be encoded is refused as a fault of idlepush", sendInvalid)
	t.Run("an expired message has a TTL that Apple accepts", sendExpired)
	t.Run("a clear is not a declarative message", sendClear)
	t.Run("what is silent has no sound and need not come at once, and the mailbox is in the title", sendVolume)
	t.Run("after idle connections were closed, the next message uses a new one", sendOnNewConnection)
}

func sendOnNewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, pipes, sender := pushtest.NewWebPush(), pushtest.NewPipes(), webpush.New(config(t))
		dials := 0
		sendertest.Serve(t, service, pipes, sender.DialThrough(func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return pipes.DialContext(ctx, network, address)
		}))
		for range 2 {
			dials = 0
			sender.Send(t.Context(), pointedAt(t, "http://push.test"), message())
			if dials == 0 {
				t.Error("an old connection is used")
			}
			synctest.Wait()
			for _, transport := range sender.Transports() {
				transport.CloseIdleConnections()
			}
		}
	})
}

func sendDeclarative(t *testing.T) {
	s, sent := serve(t), message()
	before := sent.TTL(time.Now())
	o := s.sender.Send(t.Context(), s.device, sent)
	expect(t, o, registry.ResultDelivered, "", s.device)
	got, err := s.Wait(testenv.Context(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	m := got[0]
	if m.Topic != stableID || m.Urgency != "high" || m.Proto != "HTTP/2.0" {
		t.Errorf("topic %q, urgency %q, protocol %q", m.Topic, m.Urgency, m.Proto)
	}
	if after := sent.TTL(time.Now()); m.TTL > before || m.TTL < after {
		t.Errorf("TTL %v, want what is left until the message expires: from %v to %v", m.TTL, after, before)
	}
	var body, want any
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatal(err)
	}
	json.Unmarshal([]byte(`{"web_push":8030,"notification":{"title":"Ada Lovelace","body":"Engine notes",
		"navigate":"https://push.example.org/m/1","tag":"`+stableID+`"},
		"idlepush":{"v":1,"kind":"mail","id":"`+stableID+`"}}`), &want)
	if !reflect.DeepEqual(body, want) {
		t.Errorf("got %s", m.Body)
	}
}

func sendUnifiedPush(t *testing.T) {
	service := pushtest.NewWebPush()
	server := httptest.NewServer(service)
	defer server.Close()
	sub, err := service.Subscribe(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	device := idlepush.Device{Transport: "unifiedpush", Address: sub.Endpoint, Keys: &sub.Keys}
	o := webpush.New(config(t)).Send(t.Context(), device, message())
	expect(t, o, registry.ResultDelivered, "", device)
	if got := service.Messages(); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	sendertest.NoViolations(t, service)
}

func sendWithoutURL(t *testing.T) {
	s := serve(t)
	m := message()
	m.URL = ""
	s.sender.Send(t.Context(), s.device, m)
	got, err := s.Wait(testenv.Context(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(got[0].Body); strings.Contains(text, "web_push") || strings.Contains(text, "navigate") || !strings.Contains(text, "Ada") {
		t.Error(text)
	}
}

func sendBadge(t *testing.T) {
	s := serve(t)
	m := message()
	m.Unread = new(0)
	expect(t, s.sender.Send(t.Context(), s.device, m), registry.ResultDelivered, "", s.device)
	if got := s.Messages(); len(got) != 1 || !strings.Contains(string(got[0].Body), `"tag":"`+stableID+`","app_badge":0},"idlepush":`) {
		t.Errorf("sent %s; violations: %v", got[0].Body, s.Violations())
	}
}

func sendLargest(t *testing.T) {
	s, m := serve(t), message()
	m.Payload = []byte(`""`)
	r, _ := s.sender.Preview(s.device, m)
	m.Payload = []byte(`"` + strings.Repeat("x", 2500-len(r.Plaintext)) + `"`)
	expect(t, s.sender.Send(t.Context(), s.device, m), registry.ResultDelivered, "", s.device)
	if got := s.Messages(); len(got) != 1 || len(got[0].Body) != 2500 || got[0].Size != 2662 {
		t.Errorf("%d messages, want one of 2500 bytes, encrypted 2662", len(got))
	}
	m.Payload = []byte(`"` + strings.Repeat("x", 2501-len(r.Plaintext)) + `"`)
	expect(t, s.sender.Send(t.Context(), s.device, m), registry.ResultRefused, "webpush_unsendable", s.device)
	if s.Requests() != 1 {
		t.Error("it was sent all the same")
	}
}

func sendInvalid(t *testing.T) {
	s := serve(t)
	m := message()
	m.Payload = []byte("{")
	expect(t, s.sender.Send(t.Context(), s.device, m), registry.ResultRefused, "webpush_unsendable", s.device)
	if s.Requests() != 0 {
		t.Error("it was sent all the same")
	}
}

func sendExpired(t *testing.T) {
	s := serve(t)
	m := message()
	m.Expires = time.Now().Add(-time.Hour)
	expect(t, s.sender.Send(t.Context(), s.device, m), registry.ResultDelivered, "", s.device)
	if got := s.Messages()[0]; got.TTL != time.Second {
		t.Errorf("TTL %v", got.TTL)
	}
}

func TestSubject(t *testing.T) {
	t.Run("concurrent sends to many devices share one token", subjectToken)
	t.Run("one that becomes known is used from the next push on", subjectLearned)
	t.Run("nothing is sent to Apple without one that it accepts", subjectApple)
}

func subjectToken(t *testing.T) {
	s := serve(t)
	var wg sync.WaitGroup
	for range 20 {
		device := s.subscribe(t, "")
		wg.Go(func() {
			if o := s.sender.Send(t.Context(), device, message()); o.Result != registry.ResultDelivered {
				t.Errorf("got %+v", o)
			}
		})
	}
	wg.Wait()
	tokens := make(map[string]bool)
	for _, m := range s.Messages() {
		tokens[m.Token] = true
	}
	if len(tokens) != 1 || len(s.Messages()) != 20 {
		t.Errorf("%d messages came with %d tokens", len(s.Messages()), len(tokens))
	}
}

func subjectLearned(t *testing.T) {
	s := serve(t)
	subject := ""
	c := config(t)
	c.Roots, c.Subject = s.roots, func() string { return subject }
	sender := webpush.New(c)
	device := s.subscribe(t, "")
	for _, subject = range []string{"", "https://mail.example.org", "mailto:a@example.org", "admin@example.org"} {
		expect(t, sender.Send(t.Context(), device, message()), registry.ResultDelivered, "", device)
	}
	tokens := make(map[string]bool)
	for _, m := range s.Messages() {
		tokens[m.Token] = true
	}
	if len(tokens) != 3 { // the last is no contact, so it is sent as none is
		t.Errorf("%d tokens for 3 subjects", len(tokens))
	}
}

func subjectApple(t *testing.T) {
	for _, subject := range []string{"", "https://localhost", "https://localhost:8443", "mailto:me@localhost", "https://127.0.0.1",
		"https://[::1]:8080", "http://example.org", "mailto:mailto:", "me@example.org", "https://idle.localhost", "https://"} {
		c := config(t)
		c.Subject = func() string { return subject }
		device := pointedAt(t, "https://web.push.apple.com")
		o := webpush.New(c).Send(t.Context(), device, message())
		expect(t, o, registry.ResultMisconfigured, "webpush_subject_missing", device)
		if !strings.Contains(sentence(o), "vapid-subject") || !strings.Contains(sentence(o), "public-url") {
			t.Errorf("%q: %q says not what to set", subject, sentence(o))
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s := serve(b)
	s.WebPush.Received = func(pushtest.WebPushMessage) {}
	m := message()
	b.ReportAllocs()
	for b.Loop() {
		if o := s.sender.Send(b.Context(), s.device, m); o.Result != registry.ResultDelivered {
			b.Fatal(o)
		}
	}
}

func sendClear(t *testing.T) {
	s := serve(t)
	m := message()
	m.Kind, m.Title, m.Body, m.Neutral = idlepush.KindClear, "", "", ""
	expect(t, s.sender.Send(t.Context(), s.device, m), delivered, "", s.device)
	if got := s.Messages(); len(got) != 1 || got[0].Urgency != "normal" || string(got[0].Body) != `{"idlepush":`+string(m.Payload)+`}` {
		t.Errorf("sent %+v", got)
	}
}

func sendVolume(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(m *push.Message)
		urgency string
		shown   string // of the notification
	}{
		{"mail", func(*push.Message) {}, "high", `{"title":"Ada Lovelace","body":"Engine notes",`},
		{"silent", func(m *push.Message) { m.Silent, m.Sound = true, push.NoSound }, "normal", `"silent":true`},
		{"a mailbox without a sound", func(m *push.Message) { m.Sound = push.NoSound }, "high", `"silent":true`},
		{"a mailbox with one", func(m *push.Message) { m.Mailbox, m.Sound = "Work", "bell" }, "high", `{"title":"Ada Lovelace · Work",`},
		{"loud", func(m *push.Message) { m.Loud = true }, "high", `{"title":"Ada Lovelace","body":"Engine notes",`},
	} {
		s, m := serve(t), message()
		c.change(&m)
		expect(t, s.sender.Send(t.Context(), s.device, m), delivered, "", s.device)
		got := s.Messages()
		if len(got) != 1 || got[0].Urgency != c.urgency || !strings.Contains(string(got[0].Body), c.shown) || strings.Contains(string(got[0].Body), `"silent"`) != (m.Sound == push.NoSound) {
			t.Errorf("%s: sent %+v", c.name, got)
		}
	}
}

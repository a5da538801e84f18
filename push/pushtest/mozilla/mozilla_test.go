package mozilla_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"go.uber.org/goleak"

	"idlepush"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/pushtest/mozilla"
	"idlepush/push/webpush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// firefox is a client that behaves like PushServiceWebSocket.sys.mjs.
type firefox struct {
	address, uaid string
	conn          *websocket.Conn
	keys          *pushtest.Receiver
}

// heard is a message from the service.
type heard struct {
	MessageType, UAID, ChannelID, PushEndpoint, Version, Data string
	Status                                                    int
	Headers                                                   struct{ Encoding string }
}

func start(t *testing.T) (*mozilla.Service, *firefox) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := mozilla.New()
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	keys, err := pushtest.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	return s, &firefox{address: ln.Addr().String(), keys: keys}
}

func (f *firefox) connect(t *testing.T) {
	t.Helper()
	conn, _, err := websocket.Dial(testenv.Context(t), "ws://"+f.address+"/", &websocket.DialOptions{Subprotocols: []string{"push-notification"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	f.conn = conn
	m := f.ask(t, object{"messageType": "hello", "use_webpush": true, "broadcasts": object{}, "uaid": f.uaid})
	if m.MessageType != "hello" || m.Status != 200 || m.UAID == "" || conn.Subprotocol() != "push-notification" {
		t.Fatalf("greeted with %+v", m)
	}
	f.uaid = m.UAID
}

func (f *firefox) say(t *testing.T, message object) {
	t.Helper()
	if err := wsjson.Write(testenv.Context(t), f.conn, message); err != nil {
		t.Fatal(err)
	}
}

func (f *firefox) hear(t *testing.T) (m heard) {
	t.Helper()
	if err := wsjson.Read(testenv.Context(t), f.conn, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *firefox) ask(t *testing.T, message object) heard {
	t.Helper()
	f.say(t, message)
	return f.hear(t)
}

// read receives a notification, decrypts it and acknowledges it.
func (f *firefox) read(t *testing.T, channel string) string {
	t.Helper()
	m := f.hear(t)
	body, err := base64.RawURLEncoding.DecodeString(m.Data)
	if err != nil || m.MessageType != "notification" || m.ChannelID != channel || m.Headers.Encoding != "aes128gcm" {
		t.Fatalf("got %+v", m)
	}
	text, err := f.keys.Decrypt(body)
	if err != nil {
		t.Fatal(err)
	}
	f.say(t, object{"messageType": "ack", "updates": []object{{"channelID": channel, "version": m.Version, "code": 100}}})
	return string(text)
}

// ping waits for an answer, which comes after all earlier messages.
func (f *firefox) ping(t *testing.T) {
	t.Helper()
	if pong := f.ask(t, object{}); pong.MessageType != "" {
		t.Fatalf("a ping was answered with %+v", pong)
	}
}

// sender is a transport, and the device of a Firefox.
type sender struct {
	*webpush.Sender
	device idlepush.Device
}

// newSender makes a sender, and the public key for subscriptions.
func newSender(t *testing.T) (*sender, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := webpush.ApplicationServerKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := webpush.New(webpush.Config{VAPID: key, Subject: func() string { return "mailto:a@example.org" }, Permit: func(netguard.Target) error { return nil }})
	return &sender{s, idlepush.Device{ID: "d", Transport: "webpush"}}, public
}

func (f *firefox) subscribe(t *testing.T, channel string) *sender {
	t.Helper()
	s, public := newSender(t)
	m := f.ask(t, object{"messageType": "register", "channelID": channel, "key": public + "="})
	if m.MessageType != "register" || m.ChannelID != channel || m.Status != 200 || m.PushEndpoint == "" {
		t.Fatalf("registered with %+v", m)
	}
	s.device.Address, s.device.Keys = idlepush.Secret(m.PushEndpoint), new(f.keys.Keys())
	return s
}

func (s *sender) send(t *testing.T, topic, text string, ttl time.Duration) registry.Outcome {
	t.Helper()
	return s.Send(t.Context(), s.device, push.Message{ID: topic, Kind: idlepush.KindMail, Expires: time.Now().Add(ttl), Title: text, Neutral: "New mail",
		URL: "https://push.example.org/", Payload: []byte(`{"v":1}`)})
}

const channel = "a6e8b9b6-1a2b-4c3d-8e9f-000000000001"

// topic is a stable id.
func topic(n int) string { return fmt.Sprintf("AbCdEfGhIjKlMnOpQrStUvWxYz01234%d", n) }

func TestService(t *testing.T) {
	t.Run("pushes reach a browser in order, also if it was away", serviceOrder)
	t.Run("an expired endpoint is not found by the sender, and the browser keeps it", serviceExpired)
	t.Run("a forgotten browser gets a new id", serviceForgotten)
	t.Run("an unsubscribed endpoint is not found", serviceUnsubscribed)
	t.Run("a message whose TTL is over is not sent", serviceTTL)
	t.Run("a message with another key is refused", serviceKey)
}

func serviceOrder(t *testing.T) {
	service, f := start(t)
	f.connect(t)
	s := f.subscribe(t, channel)
	if o := s.send(t, topic(0), "first", time.Hour); o.Result != registry.ResultDelivered {
		t.Fatalf("got %+v", o)
	}
	if text := f.read(t, channel); !strings.Contains(text, "first") {
		t.Errorf("read %s", text)
	}
	f.ping(t)
	if acks := service.Acks(); len(acks) != 1 || acks[0] != (mozilla.Ack{Endpoint: s.device.Address, Topic: topic(0), Code: 100}) {
		t.Errorf("the acks are %+v", acks)
	}

	service.Away()
	if _, _, err := f.conn.Read(testenv.Context(t)); err == nil {
		t.Fatal("the connection lives on")
	}
	if _, answer, err := websocket.Dial(testenv.Context(t), "ws://"+f.address+"/", nil); err == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a browser got in: %v", err)
	}
	for n, text := range []string{"stale", "second", "newer"} {
		if o := s.send(t, topic(1+n%2), text, time.Hour); o.Result != registry.ResultDelivered {
			t.Fatalf("got %+v", o)
		}
	}
	testenv.Await(t, "the newer message replaced the stale one", func() error {
		if n := service.Waiting(); n != 2 {
			return fmt.Errorf("%d messages wait", n)
		}
		return nil
	})
	service.Back()
	f.connect(t)
	if first, then := f.read(t, channel), f.read(t, channel); !strings.Contains(first, "second") || !strings.Contains(then, "newer") {
		t.Errorf("back again, it read %s and %s", first, then)
	}
	f.ping(t)
	if service.Waiting() != 0 {
		t.Error("what was acknowledged waits on")
	}
}

func serviceExpired(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusGone} {
		service, f := start(t)
		f.connect(t)
		s := f.subscribe(t, channel)
		service.Expire(s.device.Address, status)
		if o := s.send(t, topic(0), "late", time.Hour); !o.Absent {
			t.Errorf("%d: got %+v", status, o)
		}
		id := f.uaid
		f.connect(t)
		if f.uaid != id {
			t.Errorf("%d: the browser was told", status)
		}
	}
}

func serviceForgotten(t *testing.T) {
	service, f := start(t)
	f.connect(t)
	s, id := f.subscribe(t, channel), f.uaid
	service.ForgetBrowsers()
	if o := s.send(t, topic(0), "late", time.Hour); !o.Absent {
		t.Errorf("got %+v", o)
	}
	f.connect(t)
	if f.uaid == id || len(service.Endpoints()) != 0 {
		t.Errorf("it is %s as before, or has %d subscriptions", id, len(service.Endpoints()))
	}
}

func serviceUnsubscribed(t *testing.T) {
	_, f := start(t)
	f.connect(t)
	s := f.subscribe(t, channel)
	if m := f.ask(t, object{"messageType": "unregister", "channelID": channel, "code": 200}); m.Status != 200 || m.ChannelID != channel {
		t.Errorf("got %+v", m)
	}
	if o := s.send(t, topic(0), "late", time.Hour); !o.Absent {
		t.Errorf("got %+v", o)
	}
}

func serviceTTL(t *testing.T) {
	service, f := start(t)
	f.connect(t)
	s := f.subscribe(t, channel)
	service.Away()
	if o := s.send(t, topic(0), "brief", time.Second); o.Result != registry.ResultDelivered {
		t.Fatalf("got %+v", o)
	}
	testenv.Await(t, "it came and its TTL is over", func() error {
		if messages, n := service.Messages(), service.Waiting(); len(messages) != 1 || n != 0 {
			return fmt.Errorf("%d of the messages %+v wait", n, messages)
		}
		return nil
	})
	service.Back()
	f.connect(t)
	f.ping(t) // nothing comes before its answer
}

func serviceKey(t *testing.T) {
	service, f := start(t)
	f.connect(t)
	s, other := f.subscribe(t, channel), f.subscribe(t, strings.Replace(channel, "1", "2", 1))
	other.device = s.device
	if o := other.send(t, topic(0), "forged", time.Hour); o.Result == registry.ResultDelivered {
		t.Errorf("got %+v", o)
	}
	if v := service.TakeViolations(); !slices.ContainsFunc(v, func(s string) bool { return strings.Contains(s, "another VAPID key") }) {
		t.Errorf("the violations are %v", v)
	}
}

package apns

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

func TestSend(t *testing.T) {
	t.Run("an alert has the text for the phone and the payload for the app", sendAlert)
	t.Run("a message from a clock that was ahead is accepted", sendFastClock)
	t.Run("the same message to the same phone has the same id", sendSameID)
	t.Run("to a device with keys nothing of a mail is sent in the clear", sendEncrypted)
	t.Run("the largest message is sent, and a larger one is refused without a request", sendLargest)
	t.Run("only an alert in the clear has a badge", sendBadge)
	t.Run("the device's topic precedes the server's", sendTopic)
	t.Run("unusable keys make the device suspect, and nothing is sent", sendBadKeys)
	t.Run("a clear wakes the app and shows nothing", sendClear)
}

func sendAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d, m := device(apns.Register(nil)), message()
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
		messages := apns.Messages()
		if len(messages) != 1 {
			t.Fatalf("%d messages, want 1; violations: %v", len(messages), apns.Violations())
		}
		got := messages[0]
		if got.Token != d.Address || got.CollapseID != m.ID || got.Priority != "10" || !got.Expires.Equal(m.Expires.Truncate(time.Second)) {
			t.Errorf("token right: %v; collapse id %s, priority %s, expires %v", got.Token == d.Address, got.CollapseID, got.Priority, got.Expires)
		}
		if got.Title != m.Title || got.Body != m.Body || got.Thread != m.Thread || !bytes.Equal(got.Payload, m.Payload) {
			t.Errorf("title %q, body %q, thread %q, payload %s", got.Title, got.Body, got.Thread, got.Payload)
		}
	})
}

// APNs refuses a message that expires in more than 30 days.
func sendFastClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d, m := device(apns.Register(nil)), message()
		m.Expires = time.Now().AddDate(1, 0, 0)
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
		if got := apns.Messages()[0]; time.Until(got.Expires) > m.Kind.Lifetime() {
			t.Errorf("expires in %v", time.Until(got.Expires))
		}
	})
}

func sendSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		first, second := device(apns.Register(nil)), device(apns.Register(nil))
		second.ID = "device2"
		other := message()
		other.ID = "another"
		for _, d := range []idlepush.Device{first, second} {
			for _, m := range []push.Message{message(), message(), other} {
				expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
			}
		}
		var ids []string
		for _, m := range apns.Messages() {
			ids = append(ids, m.ID)
		}
		if len(ids) != 6 || ids[0] != ids[1] || ids[3] != ids[4] || ids[0] == ids[2] || ids[0] == ids[3] || ids[2] == ids[5] {
			t.Errorf("ids %v", ids)
		}
	})
}

func sendEncrypted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		d, m := device(apns.Register(receiver)), message()
		keys := receiver.Keys()
		d.Keys = &keys
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
		messages := apns.Messages()
		if len(messages) != 1 {
			t.Fatalf("%d messages, want 1; violations: %v", len(messages), apns.Violations())
		}
		got := messages[0]
		if !bytes.Equal(got.Payload, m.Payload) || got.Title != m.Neutral || got.Body != "" {
			t.Errorf("decrypted to %s, shows %q %q", got.Payload, got.Title, got.Body)
		}
		for _, word := range []string{title, body, "Frieda", "plum", m.ID, m.Thread, "idlepush"} {
			if bytes.Contains(got.Raw, []byte(word)) {
				t.Errorf("%q is on the wire in the clear", word)
			}
		}
	})
}

func sendLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d, m := device(apns.Register(nil)), message()
		m.Payload = []byte(`""`)
		r, _ := sender.Preview(d, m)
		m.Payload = []byte(`"` + strings.Repeat("x", 4096-len(r.Body)) + `"`)
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
		if got := apns.Messages(); len(got) != 1 || len(got[0].Raw) != 4096 {
			t.Errorf("%d messages, want one of 4096 bytes", len(got))
		}
		m.Payload = []byte(`"` + strings.Repeat("x", 4097-len(r.Body)) + `"`)
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: refusal, Reason: idlepush.Reason{Code: "apns_too_large"}})
		if n := apns.Requests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func sendBadge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		clear, keyed := device(apns.Register(nil)), device(apns.Register(receiver))
		keys := receiver.Keys()
		keyed.Keys = &keys
		m := message()
		m.Unread = new(0)
		silent := m
		silent.Kind, silent.Title, silent.Body, silent.Neutral = idlepush.KindClear, "", "", ""
		for _, m := range []push.Message{m, silent} {
			for _, d := range []idlepush.Device{clear, keyed} {
				expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
			}
		}
		messages := apns.Messages()
		if len(messages) != 4 {
			t.Fatalf("%d messages, want 4; violations: %v", len(messages), apns.Violations())
		}
		if messages[0].Badge == nil || *messages[0].Badge != 0 {
			t.Errorf("badge %v, want 0", messages[0].Badge)
		}
		for _, got := range messages[1:] {
			if strings.Contains(string(got.Raw), "badge") {
				t.Errorf("it has a badge: %s", got.Raw)
			}
		}
	})
}

func sendTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		d = withParam(d, paramTopic, "org.example.other")
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_device_token_not_for_topic"}})
		// A topic that a user has registered makes that device suspect. It does not pause the lane.
		apns.Fail(string(d.Address), failOnce(400, "TopicDisallowed"))
		apns.Fail(string(d.Address), failOnce(400, "BadTopic"))
		d = withParam(d, paramTopic, apns.Topic)
		sender.topic = "org.example.server"
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_topic_disallowed"}})
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_topic"}})
		// Either the topic or the key is wrong: the device is not suspect, and alone it pauses no
		// lane.
		apns.Fail(string(d.Address), failOnce(403, "InvalidProviderToken"))
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_invalid_provider_token"}})
		sent := apns.Requests()
		for _, topic := range []string{"a\r\nb: c", "ü", strings.Repeat("a", 300)} {
			d = withParam(d, paramTopic, topic)
			expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_topic"}}, topic)
		}
		if apns.Requests() != sent {
			t.Error("sent all the same")
		}
		d = withParam(d, paramTopic, apns.Topic)
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		provoked(t, apns, `topic "org.example.other"`)
	})
}

func sendBadKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		d.Keys = &idlepush.Keys{P256dh: "AAAA", Auth: "AAAA"}
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "apns_encryption"}}, "AAAA")
		if n := apns.Requests(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestTimeout(t *testing.T) {
	t.Run("a request without an answer ends after 15 seconds", timeoutRequest)
	t.Run("a connection that is not made is given up after 15 seconds", timeoutDial)
	t.Run("a cancelled send returns at once and is retried", timeoutCancel)
	t.Run("no send takes longer than 30 seconds, whatever it waits for", timeoutSend)
}

func timeoutRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		apns.Fail("", pushtest.Fault{Hang: true})
		start := time.Now()
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_timeout"}}, string(d.Address))
		if took := time.Since(start); took != 15*time.Second || apns.Requests() != 1 {
			t.Errorf("gave up after %v and %d requests", took, apns.Requests())
		}
	})
}

func timeoutDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, sender := serviceVia(t, pushtest.NewPipes(), silent)
		start := time.Now()
		expect(t, sender.Send(t.Context(), device(strings.Repeat("0a", 32)), message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_timeout"}})
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

func timeoutCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		apns.Fail("", pushtest.Fault{Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 210 { // the last ones wait for their turn
			wg.Go(func() {
				expect(t, sender.Send(ctx, d, message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_interrupted"}}, string(d.Address))
			})
		}
		time.Sleep(5 * time.Second)
		if n := apns.Requests(); n != 200 {
			t.Errorf("%d requests under way, want 200", n)
		}
		cancelled := time.Now()
		cancel()
		wg.Wait()
		if took := time.Since(cancelled); took != 0 {
			t.Errorf("came back %v after the end", took)
		}
	})
}

func timeoutSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		d := device(apns.Register(nil))
		apns.Fail("", pushtest.Fault{Hang: true})
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 * 200 {
			wg.Go(func() {
				expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_timeout"}}, string(d.Address))
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("the last came back after %v", took)
		}
	})
}

func TestReconnect(t *testing.T) {
	t.Run("after GOAWAY the next message uses a new connection", reconnectGoAway)
	t.Run("a connection that a NAT has forgotten is replaced before the next mail", reconnectNAT)
	t.Run("a connection that died while the machine slept is replaced at once", reconnectAfterSleep)
}

func reconnectGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := pushtest.NewPipes()
		var dialled atomic.Int64
		apns, sender := serviceVia(t, pipes, func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			return pipes.DialContext(ctx, network, address)
		})
		d := device(apns.Register(nil))
		for range 3 {
			expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		}
		if n := dialled.Load(); n != 1 {
			t.Errorf("%d connections for three messages, want 1", n)
		}
		apns.Fail("", pushtest.Fault{Status: 503, Reason: "Shutdown", GoAway: true, Times: 1})
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "apns_shutdown"}})
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		if n := dialled.Load(); n != 2 {
			t.Errorf("%d connections after GOAWAY, want 2", n)
		}
	})
}

// natConn is a connection that a NAT can forget. After that, what is written is lost.
type natConn struct {
	net.Conn
	forgotten *atomic.Bool
}

func (d natConn) Write(b []byte) (int, error) {
	if d.forgotten.Load() {
		return len(b), nil
	}
	return d.Conn.Write(b)
}

func reconnectNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := pushtest.NewPipes()
		forgotten := new(atomic.Bool)
		apns, sender := serviceVia(t, pipes, func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := pipes.DialContext(ctx, network, address)
			return natConn{conn, forgotten}, err
		})
		d := device(apns.Register(nil))
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		forgotten.Store(true)
		time.Sleep(time.Minute + 16*time.Second)
		forgotten = new(atomic.Bool) // of connections from now on
		start := time.Now()
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		if took := time.Since(start); took != 0 {
			t.Errorf("delivered after %v", took)
		}
	})
}

func reconnectAfterSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := pushtest.NewPipes()
		forgotten := new(atomic.Bool)
		apns, sender := serviceVia(t, pipes, func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := pipes.DialContext(ctx, network, address)
			return natConn{conn, forgotten}, err
		})
		d := device(apns.Register(nil))
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		synctest.Wait() // the connection is idle once the end of the stream was read
		forgotten.Store(true)
		forgotten = new(atomic.Bool) // of connections from now on
		sender.CloseIdleConnections()
		start := time.Now()
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: delivered})
		if took := time.Since(start); took != 0 {
			t.Errorf("delivered after %v", took)
		}
	})
	new(Transport).CloseIdleConnections() // without a key there are none
}

func sendClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apns, sender := service(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		m := message()
		m.Kind, m.Title, m.Body, m.Neutral = idlepush.KindClear, "", "", ""
		clear, keyed := device(apns.Register(nil)), device(apns.Register(receiver))
		keys := receiver.Keys()
		keyed.Keys = &keys
		for _, d := range []idlepush.Device{clear, keyed} {
			expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: delivered})
		}
		for _, got := range apns.Messages() {
			if !got.Background || got.Priority != "5" || string(got.Payload) != string(m.Payload) || strings.Contains(string(got.Raw), "alert") {
				t.Errorf("sent %s with priority %s", got.Raw, got.Priority)
			}
		}
		if len(apns.Messages()) != 2 {
			t.Errorf("%d messages", len(apns.Messages()))
		}
	})
}

package fcm

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

func TestSend(t *testing.T) {
	t.Run("a message is data for the app, sent at once and kept until it expires", sendData)
	t.Run("a message from a clock that was ahead is accepted", sendFastClock)
	t.Run("to a device with keys nothing of a mail is sent in the clear", sendEncrypted)
	t.Run("unusable keys make the device suspect, and nothing is sent", sendBadKeys)
	t.Run("the largest message is sent, and a larger one is refused without a request", sendLargest)
	t.Run("a clear, and what is silent, has normal priority", sendNormal)
	t.Run("after idle connections were closed, the next message uses a new one", sendOnNewConnection)
}

func sendOnNewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		base, dials := sender.base.(*http.Transport), 0
		dial := base.DialContext
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return dial(ctx, network, address)
		}
		d := device(fcm.Register(nil))
		for range 2 {
			dials = 0
			expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: registry.ResultDelivered})
			if dials == 0 {
				t.Error("an old connection is used")
			}
			synctest.Wait()
			sender.CloseIdleConnections()
		}
	})
	new(Transport).CloseIdleConnections() // without credentials there are none
}

func sendData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		m := message()
		expect(t, sender.Send(t.Context(), device(token), m), registry.Outcome{Result: registry.ResultDelivered})
		messages := fcm.Messages()
		if len(messages) != 1 {
			t.Fatalf("%d messages, want 1; violations: %v", len(messages), fcm.Violations())
		}
		got := messages[0]
		if string(got.Token) != token || !bytes.Equal(got.Payload, m.Payload) || got.Priority != "high" || got.TTL != time.Hour {
			t.Errorf("token right: %v; payload %s, priority %s, TTL %v", string(got.Token) == token, got.Payload, got.Priority, got.TTL)
		}
		if len(got.Data) != 1 {
			t.Errorf("data %v, want one key", got.Data)
		}
	})
}

// FCM refuses a message with a TTL of more than four weeks.
func sendFastClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		m := message()
		m.Expires = time.Now().AddDate(1, 0, 0)
		expect(t, sender.Send(t.Context(), device(fcm.Register(nil)), m), registry.Outcome{Result: registry.ResultDelivered})
		if got := fcm.Messages()[0]; got.TTL != m.Kind.Lifetime() {
			t.Errorf("TTL %v", got.TTL)
		}
	})
}

func sendEncrypted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		receiver, err := pushtest.NewReceiver()
		if err != nil {
			t.Fatal(err)
		}
		d, m := device(fcm.Register(receiver)), message()
		keys := receiver.Keys()
		d.Keys = &keys
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: registry.ResultDelivered})
		messages := fcm.Messages()
		if len(messages) != 1 {
			t.Fatalf("%d messages, want 1; violations: %v", len(messages), fcm.Violations())
		}
		if !bytes.Equal(messages[0].Payload, m.Payload) {
			t.Errorf("decrypted to %s", messages[0].Payload)
		}
		for _, word := range []string{title, body, "Frieda", "plum", m.ID, m.Thread, "idlepush"} {
			if bytes.Contains(messages[0].Raw, []byte(word)) {
				t.Errorf("%q is on the wire in the clear", word)
			}
		}
	})
}

func sendBadKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		d := device(fcm.Register(nil))
		d.Keys = &idlepush.Keys{P256dh: "AAAA", Auth: "AAAA"}
		expect(t, sender.Send(t.Context(), d, message()), registry.Outcome{Result: retryResult, Suspect: true, Reason: idlepush.Reason{Code: "fcm_encryption"}}, "AAAA")
		if n := fcm.Requests() + fcm.Grants(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func sendLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		d, m := device(fcm.Register(nil)), message()
		m.Payload = []byte(`"` + strings.Repeat("x", 4096-len("idlepush")-2) + `"`)
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: registry.ResultDelivered})
		m.Payload = append(m.Payload, ' ')
		sent := fcm.Requests()
		expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: registry.ResultRefused, Reason: idlepush.Reason{Code: "fcm_too_large"}})
		if fcm.Requests() != sent {
			t.Error("sent all the same")
		}
	})
}

func TestTimeout(t *testing.T) {
	t.Run("a request without an answer ends after 15 seconds", timeoutRequest)
	t.Run("no send takes longer than 30 seconds, whatever it waits for", timeoutSend)
	t.Run("a cancelled send returns at once and is retried", timeoutCancel)
}

func timeoutRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		fcm.Fail(token, pushtest.Fault{Hang: true})
		start := time.Now()
		expect(t, sender.Send(t.Context(), device(token), message()), registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_timeout"}}, token)
		if took := time.Since(start); took != 15*time.Second || fcm.Requests() != 1 {
			t.Errorf("gave up after %v and %d requests", took, fcm.Requests())
		}
	})
}

func timeoutSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		token := fcm.Register(nil)
		fcm.FailGrant(pushtest.Fault{Hang: true})
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 { // one at a time asks for the access token
			wg.Go(func() {
				got := sender.Send(t.Context(), device(token), message())
				expect(t, got, registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_token_unavailable"}}, token)
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("the last came back after %v", took)
		}
	})
}

func timeoutCancel(t *testing.T) {
	for name, hang := range map[string]func(*pushtest.FCM){
		"while FCM is silent":                func(f *pushtest.FCM) { f.Fail("", pushtest.Fault{Hang: true}) },
		"while the token endpoint is silent": func(f *pushtest.FCM) { f.FailGrant(pushtest.Fault{Hang: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fcm, sender := service(t)
				token := fcm.Register(nil)
				hang(fcm)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						got := sender.Send(ctx, device(token), message())
						expect(t, got, registry.Outcome{Result: retryResult, Reason: idlepush.Reason{Code: "fcm_interrupted"}}, token)
					})
				}
				time.Sleep(5 * time.Second)
				cancelled := time.Now()
				cancel()
				wg.Wait()
				if took := time.Since(cancelled); took != 0 {
					t.Errorf("came back %v after the end", took)
				}
			})
		})
	}
}

func TestConnection(t *testing.T) {
	t.Run("many senders share one access token", connectionToken)
	t.Run("the default endpoint is Google's", connectionGoogle)
	t.Run("Google is contacted over HTTP/2", connectionHTTP2)
}

func connectionToken(t *testing.T) {
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var server, senders sync.WaitGroup
	server.Go(func() {
		if err := pushtest.Serve(ctx, ln, fcm); err != nil {
			t.Error(err)
		}
	})
	defer server.Wait()
	defer cancel()
	base := "http://" + ln.Addr().String()
	sender, err := New(Config{Credentials: fcm.Credentials(base), Endpoint: base + "/v1/"})
	if err != nil {
		t.Fatal(err)
	}
	const phones, each = 20, 5
	for range phones {
		token := fcm.Register(nil)
		senders.Go(func() {
			for i := range each {
				m := message()
				m.Payload = fmt.Appendf(nil, `{"n":%d}`, i)
				expect(t, sender.Send(ctx, device(token), m), registry.Outcome{Result: registry.ResultDelivered}, token)
			}
		})
	}
	senders.Wait()
	if fcm.Grants() != 1 || len(fcm.Messages()) != phones*each || fcm.Requests() != phones*each {
		t.Errorf("%d access tokens, %d messages, %d requests", fcm.Grants(), len(fcm.Messages()), fcm.Requests())
	}
	noViolations(t, fcm)
}

func connectionGoogle(t *testing.T) {
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	account, err := parse(fcm.Credentials(origin))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	sender, err := newTransport(account, "", roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		recorder := httptest.NewRecorder()
		fcm.ServeHTTP(recorder, r)
		return recorder.Result(), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, sender.Send(t.Context(), device(fcm.Register(nil)), message()), registry.Outcome{Result: registry.ResultDelivered})
	want := []string{origin + "/token", "https://fcm.googleapis.com/v1/projects/family-mail/messages:send"}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

func connectionHTTP2(t *testing.T) {
	fcm, err := pushtest.NewFCM("family-mail")
	if err != nil {
		t.Fatal(err)
	}
	var versions []int
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		versions = append(versions, r.ProtoMajor)
		fcm.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	base := dialer()
	base.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	defer base.CloseIdleConnections()
	account, err := parse(fcm.Credentials(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	sender, err := newTransport(account, server.URL+"/v1", base)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, sender.Send(t.Context(), device(fcm.Register(nil)), message()), registry.Outcome{Result: registry.ResultDelivered})
	if fmt.Sprint(versions) != "[2 2]" {
		t.Errorf("HTTP versions %v, want 2 for the access token and 2 for the message", versions)
	}
}

func sendNormal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fcm, sender := service(t)
		d := device(fcm.Register(nil))
		clears, silent, loud := message(), message(), message()
		clears.Kind, clears.Title, clears.Body, clears.Neutral = idlepush.KindClear, "", "", ""
		silent.Silent, loud.Loud = true, true
		for _, m := range []push.Message{clears, silent, loud} {
			expect(t, sender.Send(t.Context(), d, m), registry.Outcome{Result: registry.ResultDelivered})
		}
		for i, got := range fcm.Messages() {
			if want := []string{"normal", "normal", "high"}[i]; !strings.EqualFold(got.Priority, want) || string(got.Payload) != string(clears.Payload) {
				t.Errorf("sent %+v, want priority %s", got, want)
			}
		}
	})
}

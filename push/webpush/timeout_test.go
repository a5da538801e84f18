package webpush

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// TestTimeout has services that do not answer, and some that stop in the middle of an answer. Each
// send must end after exactly 15 s.
func TestTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		says   string
		result registry.Result
		code   codes.Code
	}{
		"silent":              {"", registry.ResultRetry, "webpush_timeout"},
		"half of a header":    {"HTTP/1.1 201 Crea", registry.ResultRetry, "webpush_timeout"},
		"a body without end":  {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf", registry.ResultRetry, "webpush_unavailable"},
		"accepted, then hung": {"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf", registry.ResultDelivered, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				receiver, err := pushtest.NewReceiver()
				if err != nil {
					t.Fatal(err)
				}
				s := New(Config{
					VAPID:   newVAPID(t).key,
					Subject: func() string { return "" },
					Permit:  func(netguard.Target) error { return nil },
				})
				here, there := net.Pipe()
				var wg sync.WaitGroup
				defer wg.Wait()
				defer there.Close()
				wg.Go(func() {
					r, err := http.ReadRequest(bufio.NewReader(there))
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, r.Body)
					io.WriteString(there, c.says)
				})
				transport := s.plain.Transport.(*http.Transport)
				transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return here, nil }
				defer transport.CloseIdleConnections()
				device := idlepush.Device{Address: "http://push.example.org/x", Keys: new(receiver.Keys())}

				start := time.Now()
				o := s.Send(t.Context(), device, push.Message{ID: "AAAA", Title: "t", Payload: []byte("{}"), Expires: start.Add(time.Hour)})
				if took := time.Since(start); took != 15*time.Second || o.Result != c.result || o.Code != c.code {
					t.Errorf("after %v: %+v", took, o)
				}
			})
		})
	}
}

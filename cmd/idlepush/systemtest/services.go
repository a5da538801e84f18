package systemtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"

	"idlepush/push/pushtest"
	"idlepush/registry/registrytest"
)

// Services are fake push services, one of each kind, which run until the test ends.
type Services struct {
	FCM       *pushtest.FCM
	APNs      *pushtest.APNs
	Web       *pushtest.WebPush
	WebOrigin string // the origin of Web

	fcmOrigin, apnsOrigin string
	requests              registrytest.Log // all requests to FCM and APNs
}

// startServices starts the push services.
func startServices(t *testing.T) *Services {
	t.Helper()
	s := &Services{Web: pushtest.NewWebPush()}
	var err error
	s.FCM, err = pushtest.NewFCM("daemontest")
	Must(t, err)
	s.APNs, err = pushtest.NewAPNs("org.example.mail")
	Must(t, err)
	s.fcmOrigin = serve(t, s.recorded(s.FCM))
	s.apnsOrigin = serve(t, s.recorded(s.APNs))
	s.WebOrigin = serve(t, s.Web)
	return s
}

// checkViolations fails the test for each request that the real service would have refused.
func (s *Services) checkViolations(t *testing.T) {
	t.Helper()
	for service, list := range map[string][]string{
		"FCM":      s.FCM.Violations(),
		"APNs":     s.APNs.Violations(),
		"Web Push": s.Web.Violations(),
	} {
		for _, v := range list {
			// A daemon that starts on either side of a mark of its tokens, 20 minutes apart, cannot
			// know of the other one. It goes back to that, and loses nothing.
			if strings.HasPrefix(v, "a new provider token") {
				continue
			}
			t.Errorf("%s would have refused a request: %s", service, v)
		}
	}
}

// recorded returns h, but copies each request to s.requests.
func (s *Services) recorded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An error means that the daemon has closed the connection, so h reads no more either.
		if text, err := httputil.DumpRequest(r, true); err == nil {
			s.requests.Write(text)
		}
		h.ServeHTTP(w, r)
	})
}

// serve serves h on loopback until the test ends.
func serve(t *testing.T, h http.Handler) (origin string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := pushtest.Serve(ctx, l, h); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return "http://" + l.Addr().String()
}

// Package mozilla is a stand-in for Mozilla's push service as a real Firefox uses it: on one origin lie the WebSocket of the browser
// (dom.push.serverURL) and the endpoints that take Web Push. It is a package of its own because pushtest is part of the demo, and
// so of the binary, which needs no WebSocket.
package mozilla

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"idlepush/push/pushtest"
	"idlepush/registry"
)

// Service keeps each message until a browser has acknowledged it or its TTL is over; a newer one with the same Topic takes its place. Its
// WebPush answers the senders and records what they sent; the keys are in the browsers, so that the bodies are ciphertext. It may be used from
// several goroutines.
type Service struct {
	*pushtest.WebPush

	mu       sync.Mutex // held while a message is written, so that they keep their order
	away     bool
	browsers map[string]*browser // by the id that they got (uaid)
	acks     []Ack
}

// Ack is a browser's word on a message.
type Ack struct {
	Endpoint registry.Secret
	Topic    string
	Code     int // 100: given to the service worker, 101: cannot be decrypted, 102: not given to anybody
}

// browser is a Firefox with at most one connection.
type browser struct {
	id       string
	channels map[string]registry.Secret // endpoints
	waiting  []waiting                  // oldest first
	conn     *websocket.Conn            // nil: away
}

// waiting is a message that is not acknowledged yet.
type waiting struct {
	pushtest.WebPushMessage
	channel, version string
}

// New makes a push service that no browser knows yet.
func New() *Service {
	return &Service{WebPush: pushtest.NewWebPush(), browsers: make(map[string]*browser)}
}

// Serve serves senders and browsers on ln until ctx ends; then it breaks every connection off and returns nil once all has stopped.
func (s *Service) Serve(ctx context.Context, ln net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	var talks sync.RWMutex // read-locked by each connection of a browser: net/http does not wait for what is hijacked
	group.Go(func() error {
		return pushtest.Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
				s.WebPush.ServeHTTP(w, r)
				return
			}
			talks.RLock()
			defer talks.RUnlock()
			s.talk(ctx, w, r)
		}))
	})
	group.Go(func() error {
		s.relay(ctx)
		return nil
	})
	err := group.Wait()
	talks.Lock()
	defer talks.Unlock()
	return err
}

// Expire makes the service answer status (404 or 410) for the endpoint from now on. The browser is not told, as in life.
func (s *Service) Expire(endpoint registry.Secret, status int) {
	if status == http.StatusNotFound {
		s.Forget(endpoint)
		return
	}
	s.Gone(endpoint)
}

// ForgetBrowsers expires every subscription and tells the browsers, as Mozilla does: each gets another id when it connects anew, which it does
// at once, and then fires pushsubscriptionchange for all that it had.
func (s *Service) ForgetBrowsers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.browsers {
		for _, endpoint := range b.channels {
			s.Gone(endpoint)
		}
		b.hangUp()
	}
	clear(s.browsers)
}

// Away breaks the connections of all browsers off and refuses new ones until Back. Senders notice nothing.
func (s *Service) Away() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = true
	for _, b := range s.browsers {
		b.hangUp()
	}
}

// Back lets browsers connect again.
func (s *Service) Back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = false
}

// Acks are the browsers' words on messages so far, in order.
func (s *Service) Acks() []Ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acks)
}

// Waiting is the number of messages that wait for their browser, be it away or slow.
func (s *Service) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, b := range s.browsers {
		b.forgetOld()
		count += len(b.waiting)
	}
	return count
}

// Endpoints are those of all browsers, in no order.
func (s *Service) Endpoints() []registry.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []registry.Secret
	for _, b := range s.browsers {
		for _, endpoint := range b.channels {
			all = append(all, endpoint)
		}
	}
	return all
}

// relay hands each message that the senders' half has taken to its browser.
func (s *Service) relay(ctx context.Context) {
	for n := 1; ; n++ {
		messages, err := s.Wait(ctx, n)
		if err != nil {
			return // ctx has ended
		}
		s.deliver(ctx, messages[n-1])
	}
}

func (s *Service) deliver(ctx context.Context, m pushtest.WebPushMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.browsers {
		for channel, endpoint := range b.channels {
			if endpoint != m.Endpoint {
				continue
			}
			if m.Topic != "" {
				b.waiting = slices.DeleteFunc(b.waiting, func(w waiting) bool { return w.Endpoint == m.Endpoint && w.Topic == m.Topic })
			}
			b.waiting = append(b.waiting, waiting{m, channel, newID()})
			if b.conn != nil {
				b.notify(ctx, b.waiting[len(b.waiting)-1])
			}
		}
	}
}

func (b *browser) hangUp() {
	if b.conn != nil {
		b.conn.CloseNow()
		b.conn = nil
	}
}

func (b *browser) forgetOld() {
	b.waiting = slices.DeleteFunc(b.waiting, func(w waiting) bool { return time.Since(w.At) > w.TTL })
}

// say writes one message; where that fails, the reader of the connection notices.
func (b *browser) say(ctx context.Context, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // it consists of strings and numbers
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = b.conn.Write(ctx, websocket.MessageText, text)
}

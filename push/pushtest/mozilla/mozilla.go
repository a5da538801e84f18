// Package mozilla is a stand-in for Mozilla's push service, for a real Firefox. One origin has both
// the browser's WebSocket (dom.push.serverURL) and the endpoints for Web Push. It is a package of
// its own because pushtest is part of the demo, and so of the program, which needs no WebSocket.
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

	"idlepush"
	"idlepush/push/pushtest"
)

// Service keeps each message until a browser has acknowledged it or its TTL is over. A newer
// message with the same Topic replaces it. Its WebPush answers the senders and records their
// messages. The browsers have the keys, so the bodies are ciphertext. It may be used from several
// goroutines.
type Service struct {
	*pushtest.WebPush

	mu       sync.Mutex // held while a message is written, so that they keep their order
	away     bool
	browsers map[string]*browser // by the id that they got (uaid)
	acks     []Ack
	relayed  int // how many accepted messages deliver has handled
}

// Ack is a browser's acknowledgement of a message.
type Ack struct {
	Endpoint idlepush.Secret
	Topic    string
	Code     int // 100: delivered, 101: cannot be decrypted, 102: not delivered
}

// browser is a Firefox with at most one connection.
type browser struct {
	id       string
	channels map[string]idlepush.Secret // endpoints
	waiting  []waiting                  // oldest first
	conn     *websocket.Conn            // nil: away
}

// waiting is a message that is not acknowledged yet.
type waiting struct {
	pushtest.WebPushMessage
	channel, version string
}

// New makes a push service without browsers.
func New() *Service {
	return &Service{WebPush: pushtest.NewWebPush(), browsers: make(map[string]*browser)}
}

// Serve serves senders and browsers on ln until ctx ends. Then it closes every connection and
// returns nil once everything has stopped.
func (s *Service) Serve(ctx context.Context, ln net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	// Each connection of a browser holds a read lock: net/http does not wait for hijacked
	// connections.
	var talks sync.RWMutex
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

// Expire makes the service answer status (404 or 410) for the endpoint from now on. The browser is
// not informed, as by the real service.
func (s *Service) Expire(endpoint idlepush.Secret, status int) {
	if status == http.StatusNotFound {
		s.Fail(string(endpoint), pushtest.Fault{Status: status, Body: `{"code":404,"errno":102,"error":"Not Found","message":"Request did not validate invalid token"}`})
		return
	}
	s.Gone(endpoint)
}

// ForgetBrowsers expires every subscription and all ids of browsers, as Mozilla does at times. Each
// browser reconnects at once, gets another id, and fires pushsubscriptionchange for each
// subscription.
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

// Away closes the connections of all browsers and refuses new ones until Back is called. Senders
// are served as before.
func (s *Service) Away() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = true
	for _, b := range s.browsers {
		b.hangUp()
	}
}

// Back accepts browsers again.
func (s *Service) Back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = false
}

// Acks returns the browsers' acknowledgements so far, in order.
func (s *Service) Acks() []Ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acks)
}

// Waiting returns the number of messages that their browser has not acknowledged, or that were not
// yet relayed to it.
func (s *Service) Waiting() int {
	accepted := len(s.Messages())
	s.mu.Lock()
	defer s.mu.Unlock()
	count := max(0, accepted-s.relayed)
	for _, b := range s.browsers {
		b.forgetOld()
		count += len(b.waiting)
	}
	return count
}

// Endpoints returns those of all browsers, in no order.
func (s *Service) Endpoints() []idlepush.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []idlepush.Secret
	for _, b := range s.browsers {
		for _, endpoint := range b.channels {
			all = append(all, endpoint)
		}
	}
	return all
}

// relay sends each message that WebPush has accepted to its browser.
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
	s.relayed++
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

// send writes one message. If that fails, the reader of the connection gets the error.
func (b *browser) send(ctx context.Context, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // it consists of strings and numbers
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = b.conn.Write(ctx, websocket.MessageText, text)
}

package mozilla

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"idlepush"
)

// object is a JSON object.
type object = map[string]any

// request is a message of a browser.
type request struct {
	MessageType string
	UAID        string
	ChannelID   string
	Key         string // VAPID public key
	Updates     []struct {
		Version string
		Code    int
	}
}

// newID is an id of a browser or of a message.
func newID() string { return rand.Text() }

// talk serves the connection of one browser until it or ctx ends.
func (s *Service) talk(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"push-notification"}, InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	var b *browser
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			break
		}
		var m request
		if err := json.Unmarshal(text, &m); err != nil {
			break
		}
		if b, err = s.handle(ctx, b, conn, m, "http://"+r.Host); err != nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b != nil && b.conn == conn {
		b.conn = nil
	}
}

// handle answers one message and returns the browser of the connection, or nil before its hello.
func (s *Service) handle(ctx context.Context, b *browser, conn *websocket.Conn, m request, origin string) (*browser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b == nil && m.MessageType == "hello":
		return s.hello(ctx, conn, m), nil
	case b == nil || b.conn != conn:
		return b, http.ErrAbortHandler
	}
	switch m.MessageType {
	case "": // a ping is an empty object, and so is its answer
		b.send(ctx, object{})
	case "register":
		endpoint, known := b.channels[m.ChannelID]
		if !known {
			endpoint = s.Relay(origin, strings.TrimRight(m.Key, "=")) // only Firefox pads it
			b.channels[m.ChannelID] = endpoint
		}
		b.send(ctx, object{"messageType": "register", "channelID": m.ChannelID, "status": http.StatusOK, "pushEndpoint": string(endpoint)})
	case "unregister":
		s.Gone(b.channels[m.ChannelID])
		delete(b.channels, m.ChannelID)
		b.waiting = slices.DeleteFunc(b.waiting, func(w waiting) bool { return w.channel == m.ChannelID })
		b.send(ctx, object{"messageType": "unregister", "channelID": m.ChannelID, "status": http.StatusOK})
	case "ack":
		for _, u := range m.Updates {
			s.acknowledged(b, u.Version, u.Code)
		}
	}
	return b, nil
}

// hello answers a browser's hello. A browser without an id, or with a forgotten one, gets a new id.
// One with a known id gets the messages that wait for it.
func (s *Service) hello(ctx context.Context, conn *websocket.Conn, m request) *browser {
	b := s.browsers[m.UAID]
	if b == nil {
		b = &browser{id: newID(), channels: make(map[string]idlepush.Secret)}
		s.browsers[b.id] = b
	}
	b.hangUp()
	b.conn = conn
	b.send(ctx, object{"messageType": "hello", "status": http.StatusOK, "uaid": b.id, "use_webpush": true, "broadcasts": object{}})
	b.forgetOld()
	for _, w := range b.waiting {
		b.notify(ctx, w)
	}
	return b
}

func (b *browser) notify(ctx context.Context, w waiting) {
	b.send(ctx, object{"messageType": "notification", "channelID": w.channel, "version": w.version,
		"data": base64.RawURLEncoding.EncodeToString(w.Body), "headers": object{"encoding": "aes128gcm"}})
}

func (s *Service) acknowledged(b *browser, version string, code int) {
	i := slices.IndexFunc(b.waiting, func(w waiting) bool { return w.version == version })
	if i < 0 {
		return // another connection has replaced it
	}
	s.acks = append(s.acks, Ack{b.waiting[i].Endpoint, b.waiting[i].Topic, code})
	b.waiting = slices.Delete(b.waiting, i, i+1)
}

package web

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"idlepush/registry"
)

// Event names something that has changed. Clients fetch its new state.
type Event struct {
	Kind string `json:"kind" enum:"account,device,notification,user,session,invite,offer,all" doc:"all: too many changes to list; fetch everything again"`
	ID   string `json:"id,omitempty" doc:"Absent: any of this kind"`
}

const (
	maxStreams        = 10               // of one user
	keepaliveInterval = 25 * time.Second // of a stream: proxies close one that is silent for longer
	writeTimeout      = 10 * time.Second // of each write to a client
)

// eventHandlers streams changes.
type eventHandlers struct {
	history  registry.History
	guard    *guard
	stopping <-chan struct{} // ends all streams; may be nil
	streams  streams
}

// events answers with a stream of server-sent events (WHATWG HTML section 9.2). It ends when the
// session of the caller ends or the server stops. Nothing is sent again: a client that reconnects
// fetches everything.
func (h *eventHandlers) events(_ context.Context, c caller, _ *struct{}) (*huma.StreamResponse, error) {
	if !h.streams.enter(c.user.ID) {
		return nil, problem(http.StatusTooManyRequests, "too_many_streams").with("limit", strconv.Itoa(maxStreams))
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer h.streams.leave(c.user.ID)
		r, w := humago.Unwrap(hc)
		l := h.history.Listen(c.user.ID)
		defer l.Stop()
		h.stream(r, w, l)
	}}, nil
}

func (h *eventHandlers) stream(r *http.Request, w http.ResponseWriter, l *registry.Listener) {
	conn := http.NewResponseController(w)
	conn.SetReadDeadline(time.Time{}) // as in readBody
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would buffer the events
	ticker := time.NewTicker(keepaliveInterval)
	defer ticker.Stop()
	for text := ": listening\n\n"; ; text = "event: alive\ndata:\n\n" {
		changes := l.Take() // before who listens is checked: nothing that comes later
		if _, err := h.guard.authenticate(r, full|given); err != nil {
			return
		}
		for _, c := range changes {
			data, err := json.Marshal(Event{string(c.Kind), c.ID})
			if err != nil {
				panic(err) // cannot happen: two strings always encode
			}
			text += "event: change\ndata: " + string(data) + "\n\n"
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write([]byte(text)); err != nil || conn.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.stopping:
			return
		case <-l.Changed():
		case <-ticker.C:
		}
	}
}

// describeEvents documents the content of the stream, which huma cannot know.
func describeEvents(doc *huma.OpenAPI) {
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Event](), true, "")
	doc.Paths["/events"].Get.Responses["200"] = &huma.Response{Description: "Events named change, each with one such object as its data; and at least every 25 s one named alive, as long as the server is there",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: schema}}}
}

// streams counts the streams of each user.
type streams struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *streams) enter(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[user] >= maxStreams {
		return false
	}
	s.count[user]++
	return true
}

func (s *streams) leave(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[user]--; s.count[user] == 0 {
		delete(s.count, user)
	}
}

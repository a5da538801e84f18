package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"idlepush/registry"
)

// Event names something that has changed; what it is like now is to be asked for.
type Event struct {
	Kind string `json:"kind" enum:"account,device,notification,user,session,invite,all" doc:"all: more than could be told; ask for everything"`
	ID   string `json:"id,omitempty" doc:"Absent: any of the kind"`
}

const (
	mostStreams = 10               // of one user
	beat        = 25 * time.Second // between signs of life in a stream: proxies end one that is silent for longer
	writeTime   = 10 * time.Second // for a client to take what it is sent
)

// eventHandlers streams changes.
type eventHandlers struct {
	history  registry.History
	guard    *guard
	stopping <-chan struct{} // ends all streams; may be nil
	streams  streams
}

// events is a stream of server-sent events (WHATWG HTML section 9.2). It ends when the caller may listen no more and when the server stops. Nothing is
// sent again: who has been away asks for everything.
func (h *eventHandlers) events(_ context.Context, c caller, _ *struct{}) (*huma.StreamResponse, error) {
	if !h.streams.enter(c.user.ID) {
		return nil, problem(http.StatusTooManyRequests, "too_many_streams", fmt.Sprintf("Only %d pages of one person can listen at a time.", mostStreams))
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
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep the events to itself
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for text := ": listening\n\n"; ; text = ": alive\n\n" {
		for _, c := range l.Take() {
			data, err := json.Marshal(Event{string(c.Kind), c.ID})
			if err != nil {
				panic(err) // two strings always encode
			}
			text += "event: change\ndata: " + string(data) + "\n\n"
		}
		conn.SetWriteDeadline(time.Now().Add(writeTime))
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
		if _, err := h.guard.authenticate(r, full); err != nil {
			return
		}
	}
}

// describeEvents documents what huma cannot see: what the stream holds.
func describeEvents(doc *huma.OpenAPI) {
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Event](), true, "")
	doc.Paths["/events"].Get.Responses["200"] = &huma.Response{Description: "Events named change, each with one such object as its data",
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
	if s.count[user] >= mostStreams {
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

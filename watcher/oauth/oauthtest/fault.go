package oauthtest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"
)

// The paths at which faults can happen.
const (
	TokenPath      = "/token"
	DevicePath     = "/device"
	EnterPath      = "/enter"
	IntrospectPath = "/introspect"
	MetadataPath   = "/.well-known/oauth-authorization-server"
)

// Fault happens to a request instead of the ordinary answer.
type Fault struct {
	Status int           // the answer; 0: the ordinary one
	Header http.Header   // added to the answer
	Body   string        // of an answer with Status
	Late   time.Duration // before anything is done
	Hang   bool          // no answer until the client gives up
	Drop   bool          // the connection breaks without an answer
	Half   bool          // it breaks after half of the answer
	Served bool          // the request is carried out, and only its answer is lost
	Times  int           // number of requests to which it happens; 0: all, until ClearFaults
}

// ErrorPage is the Body of an answer from a proxy in front of the provider.
const ErrorPage = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Error</h1>invalid_grant</body></html>"

// armed is a fault that waits for requests.
type armed struct {
	Fault
	path string
	left int
}

// Fail makes a fault happen to the next requests for a path.
func (s *Server) Fail(path string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armed{f, path, f.Times})
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// take returns the fault of a request; nil: none.
func (s *Server) take(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.faults, func(a *armed) bool { return a.path == path })
	if i < 0 {
		return nil
	}
	f := s.faults[i]
	if f.Times > 0 {
		if f.left--; f.left == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
	}
	return &f.Fault
}

// faulty lets faults happen to what next answers.
func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		s.mu.Unlock()
		f := s.take(r.URL.Path)
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		f.apply(w, r, next)
	})
}

// apply answers a request with the fault.
func (f *Fault) apply(w http.ResponseWriter, r *http.Request, next http.Handler) {
	// net/http notices that the client is gone only once the body is read.
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f.Late > 0 {
		select {
		case <-time.After(f.Late):
		case <-r.Context().Done():
			return
		}
	}
	answer := httptest.NewRecorder()
	if f.Served || f.Status == 0 && !f.Hang && !f.Drop {
		next.ServeHTTP(answer, r)
	}
	if f.Status != 0 {
		answer = httptest.NewRecorder()
		answer.WriteHeader(f.Status)
		answer.WriteString(f.Body)
	}
	switch {
	case f.Hang:
		<-r.Context().Done()
		return
	case f.Drop:
		panic(http.ErrAbortHandler) // net/http's way to break off without an answer
	}
	maps.Copy(w.Header(), answer.Header())
	maps.Copy(w.Header(), f.Header)
	body = answer.Body.Bytes()
	if f.Half {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		body = body[:len(body)/2]
	}
	w.WriteHeader(answer.Code)
	w.Write(body)
	if f.Half {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

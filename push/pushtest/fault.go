package pushtest

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
)

// Fault is what happens to a valid request for a known token instead of the ordinary 200.
type Fault struct {
	Status   int         // the answer; 200 accepts the message
	Reason   string      // FCM: FcmError's errorCode; APNs: the reason; empty: the answer names none
	Header   http.Header // added to the answer
	Body     string      // the answer as it is, instead of the service's own form, such as ErrorPage
	Hang     bool        // no answer until the client gives up
	Drop     bool        // the stream or connection breaks without an answer
	Half     bool        // it breaks in the middle of the answer: after the headers and half of the body that they declare
	GoAway   bool        // the answer is the connection's last: GOAWAY follows, or with HTTP/1.1 the end
	Accepted bool        // the message is received all the same: the answer is what gets lost
	Times    int         // so many requests; 0: until Heal
}

// ErrorPage is the Body of what stands before a service, and not of the service itself.
const ErrorPage = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Error</h1>{UNREGISTERED, VapidPkHashMismatch}</body></html>"

// happen lets the fault happen to the answer.
func (f Fault) happen(w http.ResponseWriter, req *http.Request, answer func(http.ResponseWriter)) {
	switch {
	case f.Hang:
		<-req.Context().Done()
		return
	case f.Drop:
		panic(http.ErrAbortHandler) // net/http's way to break off without an answer
	}
	maps.Copy(w.Header(), f.Header)
	if f.GoAway {
		w.Header().Set("Connection", "close")
	}
	if !f.Half {
		answer(w)
		return
	}
	whole := &held{ResponseWriter: w, status: http.StatusOK}
	answer(whole)
	whole.breakOff()
}

// held is an answer that is not sent yet.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// breakOff sends half of it. An answer without a body declares one all the same.
func (h *held) breakOff() {
	if h.body.Len() == 0 {
		h.body.WriteString("{}")
	}
	h.Header().Set("Content-Length", strconv.Itoa(h.body.Len()))
	h.ResponseWriter.WriteHeader(h.status)
	h.ResponseWriter.Write(h.body.Bytes()[:h.body.Len()/2])
	http.NewResponseController(h.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

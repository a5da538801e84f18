package pushtest

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Fault happens to a valid request for a known token instead of the ordinary 200.
type Fault struct {
	Status int         // the answer; 200 accepts the message
	Reason string      // FCM: FcmError's errorCode; APNs: the reason; empty: the answer names none
	Header http.Header // added to the answer
	Body   string      // replaces the service's own form of an answer; an example is ErrorPage

	Hang   bool // no answer until the client gives up
	Drop   bool // the stream or connection breaks without an answer
	Half   bool // it breaks after the headers and half of the body that they declare
	GoAway bool // the answer is the last of its connection, and GOAWAY follows it

	Accepted bool // the message is received all the same, and only the answer is lost
	Times    int  // number of requests to which it happens; 0: all, until ClearFaults

	// It begins after this many requests to which it could happen, and not before this time.
	After int
	From  time.Time
}

// ErrorPage is the Body of an answer from a proxy in front of the service.
const ErrorPage = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Error</h1>{UNREGISTERED, VapidPkHashMismatch}</body></html>"

// apply sends the answer with the fault, or none.
func (f Fault) apply(w http.ResponseWriter, req *http.Request, answer func(http.ResponseWriter)) {
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
	whole := &bufferedAnswer{ResponseWriter: w, status: http.StatusOK}
	answer(whole)
	whole.sendHalf()
}

// bufferedAnswer is an answer that is not sent yet.
type bufferedAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (b *bufferedAnswer) WriteHeader(status int) { b.status = status }

// Write implements http.ResponseWriter.
func (b *bufferedAnswer) Write(text []byte) (int, error) { return b.body.Write(text) }

// sendHalf sends the headers and half of the body, then breaks the connection off. An answer
// without a body declares one all the same.
func (b *bufferedAnswer) sendHalf() {
	if b.body.Len() == 0 {
		b.body.WriteString("{}")
	}
	b.Header().Set("Content-Length", strconv.Itoa(b.body.Len()))
	b.ResponseWriter.WriteHeader(b.status)
	b.ResponseWriter.Write(b.body.Bytes()[:b.body.Len()/2])
	http.NewResponseController(b.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

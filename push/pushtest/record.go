package pushtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Record holds the messages that a stand-in has accepted, and its faults. It may be used from
// several goroutines.
type Record[M any] struct {
	// Received, if set before the first request, is called with each accepted message, which is
	// then not recorded. It may be called from several goroutines at once.
	Received func(M)

	mu         sync.Mutex
	messages   []M
	violations []string
	requests   int
	faults     map[string][]Fault // by token; "": for every token
	changed    chan struct{}      // closed and replaced when messages grows
}

// Fail queues a fault for the token, or for every token if it is empty. Faults of the token come
// first. A fault begins once the one before it in its queue has happened its number of times.
func (r *Record[M]) Fail(token string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults == nil {
		r.faults = make(map[string][]Fault)
	}
	r.faults[token] = append(r.faults[token], f)
}

// ClearFaults removes every queued fault.
func (r *Record[M]) ClearFaults() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.faults)
}

// Messages returns the messages accepted so far, in order of arrival. One that was sent twice is
// there twice.
func (r *Record[M]) Messages() []M {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// Wait waits until n messages have been accepted in all, and returns them in order of arrival. If
// ctx ends first, it returns those accepted so far, and the cause. In a test, ctx should end before
// the test does, as that of testenv.Context.
func (r *Record[M]) Wait(ctx context.Context, n int) ([]M, error) {
	for {
		r.mu.Lock()
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		messages, changed := slices.Clone(r.messages), r.changed
		r.mu.Unlock()
		if len(messages) >= n {
			return messages, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return messages, fmt.Errorf("wait for %d push messages, %d came: %w", n, len(messages), context.Cause(ctx))
		}
	}
}

// Requests returns the number of requests to send so far, accepted or not.
func (r *Record[M]) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Violations returns a text for each request that was refused for its form or authorization.
// Unknown and gone tokens and queued faults are no violations.
func (r *Record[M]) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

// TakeViolations returns the violations so far and removes them, for a test that provokes them.
func (r *Record[M]) TakeViolations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.violations
	r.violations = nil
	return taken
}

func (r *Record[M]) accept(m M) {
	if r.Received != nil {
		r.Received(m)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *Record[M]) addViolation(problem error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, problem.Error())
}

func (r *Record[M]) countRequest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
}

// nextFault returns the fault that happens now: that of the first queue that has one which has
// begun, or one with status 200.
func (r *Record[M]) nextFault(queues ...string) Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range queues {
		queue := r.faults[key]
		if len(queue) == 0 || time.Now().Before(queue[0].From) {
			continue
		}
		if queue[0].After > 0 {
			queue[0].After--
			continue
		}
		f := queue[0]
		switch f.Times {
		case 0:
		case 1:
			r.faults[key] = queue[1:]
		default:
			queue[0].Times--
		}
		return f
	}
	return Fault{Status: http.StatusOK}
}

// respond accepts the message unless a fault is queued for it, and answers unless the fault is that
// there is no answer.
func (r *Record[M]) respond(w http.ResponseWriter, req *http.Request, token string, m M, answer func(http.ResponseWriter, Fault)) {
	f := r.nextFault(token, "")
	if f.Accepted || f.Status == http.StatusOK {
		r.accept(m)
	}
	f.apply(w, req, func(w http.ResponseWriter) { answer(w, f) })
}

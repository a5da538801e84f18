package pushtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// Record is what a stand-in for FCM or APNs was sent, and the faults it is to have. It may be used from several
// goroutines.
type Record[M any] struct {
	// Received, when set before the first request, is called with each accepted message, which is then not recorded. It
	// may be called from several goroutines at once.
	Received func(M)

	mu         sync.Mutex
	messages   []M
	violations []string
	requests   int
	faults     map[string][]Fault // by token; "": for every one
	changed    chan struct{}      // closed and replaced when messages grows
}

// Fail queues a fault for the token, or for every one if it is empty. Faults of the token come before those of all, each
// after the one queued before it has happened its number of times.
func (r *Record[M]) Fail(token string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults == nil {
		r.faults = make(map[string][]Fault)
	}
	r.faults[token] = append(r.faults[token], f)
}

// Heal takes every queued fault away.
func (r *Record[M]) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.faults)
}

// Messages are the messages accepted so far, in order of arrival. One that was sent twice is there twice.
func (r *Record[M]) Messages() []M {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// Wait waits until n messages have been accepted in all and returns them in order of arrival; when
// ctx ends first, those there are and the cause. A test gives it a context that ends before the test
// does, such as testenv.Context.
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

// Requests is the number of requests to send so far, whatever came of them.
func (r *Record[M]) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Violations says what was wrong with the requests that were refused for their form or authorization; unknown and gone
// tokens and scripted faults are no violations.
func (r *Record[M]) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

// Forgive forgets the violations so far and returns them, for a test that provokes them.
func (r *Record[M]) Forgive() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	forgiven := r.violations
	r.violations = nil
	return forgiven
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

func (r *Record[M]) violated(problem error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, problem.Error())
}

func (r *Record[M]) counted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
}

// next is the fault that happens now, of the first queue that has one; status 200 if none does.
func (r *Record[M]) next(queues ...string) Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range queues {
		queue := r.faults[key]
		if len(queue) == 0 {
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

// respond lets the next fault happen to the message, or accepts it, and answers unless the fault is that there is no
// answer.
func (r *Record[M]) respond(w http.ResponseWriter, req *http.Request, token string, m M, answer func(http.ResponseWriter, Fault)) {
	f := r.next(token, "")
	if f.Accepted || f.Status == http.StatusOK {
		r.accept(m)
	}
	f.happen(w, req, func(w http.ResponseWriter) { answer(w, f) })
}

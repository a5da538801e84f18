package watcher

import "sync"

// workers are goroutines whose stacks have grown. They do what needs a deep stack for goroutines
// that wait for most of their time: the stack of one that waits is most of its memory, and shrinks
// only as the collector runs. A nil *workers does it on the caller's stack. It may be used from
// several goroutines.
type workers struct {
	mu      sync.Mutex
	idle    []*worker
	running sync.WaitGroup
}

// maxIdleWorkers bounds how many workers wait for the next job.
const maxIdleWorkers = 32

type worker struct {
	tasks chan func()
	done  chan struct{} // one value for each task
}

// do calls f and returns when f has returned. It does not wait for another task to end.
func (w *workers) do(f func()) {
	if w == nil {
		f()
		return
	}
	one := w.take()
	one.tasks <- f
	<-one.done
	w.release(one)
}

// take returns a worker that is idle: of several the last, so that few stacks grow.
func (w *workers) take() (one *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := len(w.idle) - 1; last >= 0 {
		one, w.idle = w.idle[last], w.idle[:last]
		return one
	}
	one = &worker{make(chan func()), make(chan struct{})}
	w.running.Go(one.work)
	return one
}

func (w *workers) release(one *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) < maxIdleWorkers {
		w.idle = append(w.idle, one)
		return
	}
	close(one.tasks)
}

func (w *worker) work() {
	for f := range w.tasks {
		f()
		w.done <- struct{}{}
	}
}

// end ends the workers, once nobody has a task left, and waits for them.
func (w *workers) end() {
	w.mu.Lock()
	for _, one := range w.idle {
		close(one.tasks)
	}
	w.idle = nil
	w.mu.Unlock()
	w.running.Wait()
}

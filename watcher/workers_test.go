package watcher

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w workers
		var tasks sync.WaitGroup
		did := make(map[int]bool)
		var mu sync.Mutex
		for n := range 2 * maxIdleWorkers {
			tasks.Go(func() {
				w.do(func() { time.Sleep(time.Minute) })
				w.do(func() {
					mu.Lock()
					defer mu.Unlock()
					did[n] = true
				})
			})
		}
		began := time.Now()
		tasks.Wait()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("tasks that wait keep others waiting: all took %v", took)
		}
		if len(did) != 2*maxIdleWorkers {
			t.Errorf("%d tasks were done", len(did))
		}
		if len(w.idle) > maxIdleWorkers {
			t.Errorf("%d workers are kept", len(w.idle))
		}
		last := w.take()
		w.release(last)
		if w.take() != last {
			t.Error("the worker that was used last, whose stack has grown, is not the next")
		}
		w.release(last)
		w.end() // the bubble ends only when all workers have
	})
}

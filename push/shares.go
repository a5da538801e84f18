package push

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"idlepush/registry"
)

// What is in flight at most. A user may have half of each; the more users have some, the less.
const (
	Concurrency     = 160 // over all devices and lanes
	laneConcurrency = 64  // in one lane: some that hang leave room for the others
	slowConcurrency = 16  // to slow devices
	maxProving      = 8   // proving and test pushes of one user
)

// probePatience is how long a send in flight delays the probe of another user in its lane.
const probePatience = 3 * time.Second

// pool is a number of places for sends in flight.
type pool struct {
	size, used int
	byUser     map[string]int // used ones, without zeros
}

func newPool(size int) *pool { return &pool{size: size, byUser: make(map[string]int)} }

// room returns how many more places the user may take. A user may take one only while more are free
// than the user has. A user alone gets half of them, and n users get a part of n+1 each.
func (p pool) room(user string) int {
	return max(0, (p.size-p.used-p.byUser[user]+1)/2)
}

// add adds n, which may be negative, to the places that the user has.
func (p *pool) add(user string, n int) {
	p.used += n
	if p.byUser[user] += n; p.byUser[user] == 0 {
		delete(p.byUser, user)
	}
}

// sends are those in flight.
type sends struct {
	queues    map[string]registry.Queue // by device
	began     map[string]time.Time      // by device, with monotonic reading
	all, slow *pool
	lanes     map[string]*pool // without empty ones
}

func newSends() *sends {
	return &sends{make(map[string]registry.Queue), make(map[string]time.Time), newPool(Concurrency), newPool(slowConcurrency), make(map[string]*pool)}
}

// lane returns the pool of a lane.
func (s *sends) lane(name string) pool {
	if p := s.lanes[name]; p != nil {
		return *p
	}
	return pool{size: laneConcurrency}
}

// room returns how many queues may be served now that are like q: of the same user and lane, and
// slow or not. In a paused lane it returns 0 while a send is in flight, of another user only for
// probePatience.
func (s *sends) room(q registry.Queue) int {
	lane := s.lane(q.Lane)
	if q.Probe && lane.used > 0 && s.delaysProbe(q) {
		return 0
	}
	n := min(s.all.room(q.User), lane.room(q.User))
	if q.Slow {
		n = min(n, s.slow.room(q.User))
	}
	return n
}

// delaysProbe reports whether a send in flight delays the probe of a paused lane.
func (s *sends) delaysProbe(probe registry.Queue) bool {
	for device, q := range s.queues {
		if q.Lane == probe.Lane && (q.User == probe.User || time.Since(s.began[device]) < probePatience) {
			return true
		}
	}
	return false
}

// nextProbe returns the time until one more of the sends in flight no longer delays the probes of
// other users, or maxIdle.
func (s *sends) nextProbe() time.Duration {
	wait := maxIdle
	for _, at := range s.began {
		if left := probePatience - time.Since(at); left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

// take yields those of the queues that are to be served now, and adds each to the sends in flight.
// Probes come first. Among the others, the next is always of the user with the fewest sends in
// flight. Of this user it is in the lane with the fewest, and there the one that is due longest.
func (s *sends) take(ready []registry.Queue) iter.Seq[registry.Queue] {
	return func(yield func(registry.Queue) bool) {
		for {
			best := -1
			for i, q := range ready {
				if s.room(q) > 0 && (best < 0 || s.compare(q, ready[best]) < 0) {
					best = i
				}
			}
			if best < 0 {
				return
			}
			q := ready[best]
			ready = slices.Delete(ready, best, best+1)
			s.add(q, 1)
			s.queues[q.Device], s.began[q.Device] = q, time.Now()
			if !yield(q) {
				return
			}
		}
	}
}

// compare returns a negative number if a is to be served before b.
func (s *sends) compare(a, b registry.Queue) int {
	if a.Probe != b.Probe {
		if a.Probe {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(s.all.byUser[a.User], s.all.byUser[b.User]),
		cmp.Compare(s.inLane(a), s.inLane(b)), a.Due.Compare(b.Due))
}

// inLane returns how many sends of the queue's user and lane are in flight.
func (s *sends) inLane(q registry.Queue) int { return s.lane(q.Lane).byUser[q.User] }

// end removes a queue from the sends in flight.
func (s *sends) end(q registry.Queue) {
	s.add(q, -1)
	delete(s.queues, q.Device)
	delete(s.began, q.Device)
}

func (s *sends) add(q registry.Queue, n int) {
	lane := s.lanes[q.Lane]
	if lane == nil {
		lane = newPool(laneConcurrency)
		s.lanes[q.Lane] = lane
	}
	if lane.add(q.User, n); lane.used == 0 {
		delete(s.lanes, q.Lane)
	}
	s.all.add(q.User, n)
	if q.Slow {
		s.slow.add(q.User, n)
	}
}

package push

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/registry/testenv"
)

func TestShares(t *testing.T) {
	t.Parallel()
	t.Run("one user gets half of the places, and more users get equal parts", sharesParts)
	t.Run("a place goes to the user, the lane and the device that have waited most", sharesOrder)
	t.Run("a send in flight delays the probe of another user for 3 seconds", sharesProbe)
	t.Run("somebody who sends nothing has room, whatever some others do", sharesNewcomer)
}

// waiting returns n queues of the user that are due one after the other.
func waiting(n int, like registry.Queue) (list []registry.Queue) {
	for i := range n {
		q := like
		q.Device, q.Due = fmt.Sprint(q.User, q.Lane, i), time.Unix(int64(i), 0)
		list = append(list, q)
	}
	return list
}

// inLane returns a queue of a user in a lane, both named by a word, such as "ann fcm". The lane may
// be followed by "slow" or "probe".
func inLane(words string) (q registry.Queue) {
	var more string
	if n, _ := fmt.Sscan(words, &q.User, &q.Lane, &more); n < 2 {
		panic(words)
	}
	q.Slow, q.Probe = more == "slow", more == "probe"
	return q
}

func takeAll(s *sends, ready []registry.Queue) []registry.Queue { return slices.Collect(s.take(ready)) }

func manyTimes(words string, n int) []string { return slices.Repeat([]string{words}, n) }

func sharesParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		users, lanes int // each of the users has devices in each of the lanes
		slow         bool
		least, most  int // that one of them gets
		total        int
	}{
		{1, 1, false, 32, 32, 32},
		{1, 2, false, 64, 64, 64},
		{1, 5, false, 80, 80, 80},
		{2, 1, false, 21, 22, 43},
		{2, 5, false, 53, 54, 107},
		{3, 5, false, 40, 40, 120},
		{9, 5, false, 16, 16, 144},
		{63, 1, false, 1, 1, 63},
		{64, 1, false, 1, 1, 64},
		{70, 1, false, 0, 1, 64},
		{160, 5, false, 1, 1, 160},
		{200, 5, false, 0, 1, 160},
		{1, 1, true, 8, 8, 8},
		{1, 5, true, 8, 8, 8},
		{3, 5, true, 4, 4, 12},
		{20, 5, true, 0, 1, 16},
	} {
		s, got := newSends(), make(map[string]int)
		var ready []registry.Queue
		for i := range c.users {
			for j := range c.lanes {
				ready = append(ready, waiting(2*Concurrency/c.users, registry.Queue{User: fmt.Sprint("user ", i), Lane: fmt.Sprint("lane ", j), Slow: c.slow})...)
			}
		}
		list := takeAll(s, ready)
		for _, q := range list {
			got[q.User]++
		}
		for i := range c.users {
			if n := got[fmt.Sprint("user ", i)]; n < c.least || n > c.most {
				t.Errorf("%d users in %d lanes: one gets %d places, want %d to %d", c.users, c.lanes, n, c.least, c.most)
			}
		}
		if len(list) != c.total || len(s.queues) != c.total {
			t.Errorf("%d users in %d lanes: %d places are used, want %d", c.users, c.lanes, len(list), c.total)
		}
		for _, q := range list {
			s.end(q)
		}
		if s.all.used+s.slow.used+len(s.lanes)+len(s.queues)+len(s.all.byUser)+len(s.slow.byUser) != 0 {
			t.Errorf("when all have ended: %+v", s)
		}
	}
}

func sharesOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		inFlight, ready []string // those that are ready: due longest first
		want            []int    // indexes of ready
	}{
		"due longest":               {nil, []string{"ann fcm", "ann fcm", "ann fcm"}, []int{0, 1, 2}},
		"users take turns":          {nil, []string{"ben fcm", "ben fcm", "ben fcm", "ann fcm"}, []int{0, 3, 1, 2}},
		"who has fewest":            {[]string{"ben apns", "ben apns"}, []string{"ben fcm", "ann fcm", "ann fcm", "ann fcm"}, []int{1, 2, 0, 3}},
		"lanes take turns":          {nil, []string{"ann fcm", "ann fcm", "ann apns", "ann apns"}, []int{0, 2, 1, 3}},
		"the lane with fewest":      {[]string{"ann fcm"}, []string{"ann fcm", "ann apns", "ann apns"}, []int{1, 0, 2}},
		"users before lanes":        {[]string{"ann fcm", "ann fcm"}, []string{"ann apns", "ben fcm", "ben fcm"}, []int{1, 2, 0}},
		"probes first":              {[]string{"ann fcm"}, []string{"ben fcm", "ann apns probe"}, []int{1, 0}},
		"a full lane holds up none": {manyTimes("ann fcm", 32), []string{"ann fcm", "ann apns", "ben apns"}, []int{2, 1}},
		"one probe at a time":       {[]string{"ann fcm"}, []string{"ben fcm probe", "ben apns"}, []int{1}},
		"slow ones are as the rest": {nil, []string{"ann fcm slow", "ann fcm"}, []int{0, 1}},
	} {
		s := newSends()
		for i, words := range c.inFlight {
			q := inLane(words)
			q.Device = fmt.Sprint("in flight ", i)
			takeAll(s, []registry.Queue{q})
		}
		var ready, want []registry.Queue
		for i, words := range c.ready {
			q := inLane(words)
			q.Device, q.Due = fmt.Sprint(i), time.Unix(int64(i), 0)
			ready = append(ready, q)
		}
		for _, i := range c.want {
			want = append(want, ready[i])
		}
		if got := takeAll(s, slices.Clone(ready)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func sharesProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSends()
		takeAll(s, []registry.Queue{inLane("ben fcm")})
		for _, c := range []struct {
			after    time.Duration
			ann, ben bool          // whether they may probe
			next     time.Duration // until another send delays no probe
		}{
			{0, false, false, 3 * time.Second},
			{2 * time.Second, false, false, time.Second},
			{time.Second, true, false, maxIdle},
			{time.Minute, true, false, maxIdle},
		} {
			time.Sleep(c.after)
			ann, ben := s.room(inLane("ann fcm probe")) > 0, s.room(inLane("ben fcm probe")) > 0
			if wait := s.nextProbe(); ann != c.ann || ben != c.ben || wait != c.next {
				t.Errorf("%v later: ann %v, ben %v, and %v until the next; want %v, %v, %v", c.after, ann, ben, wait, c.ann, c.ben, c.next)
			}
		}
		if s.room(inLane("ben apns probe")) == 0 {
			t.Error("it delays the probe of another lane")
		}
	})
}

// Four of them send whatever they can, and their sends end at random.
func sharesNewcomer(t *testing.T) {
	t.Parallel()
	random, s := testenv.Rand(t), newSends()
	for i := range testenv.Tenth(20_000) {
		like := registry.Queue{User: fmt.Sprint("user ", random.IntN(4)), Lane: fmt.Sprint("lane ", random.IntN(3)), Slow: random.IntN(4) == 0}
		ready := waiting(1+random.IntN(50), like)
		for j := range ready {
			ready[j].Device += fmt.Sprint(" ", i)
		}
		takeAll(s, ready[:min(len(ready), s.room(like))])
		for _, q := range s.queues {
			if random.IntN(100) == 0 {
				s.end(q)
			}
		}
		for _, words := range []string{"newcomer free", "newcomer lane", "newcomer free slow"} {
			q := inLane(words)
			if q.Lane == "lane" {
				q.Lane = like.Lane
			}
			if s.room(q) == 0 {
				t.Fatalf("after %d rounds: %q has no room", i, words)
			}
		}
	}
}

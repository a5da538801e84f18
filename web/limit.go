package web

import (
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"idlepush/registry"
)

// mostBuckets bounds what a limiter remembers. Beyond it, those that are new share one bucket.
const mostBuckets = 10_000

// limits bounds how often callers may try something.
type limits struct {
	familiar  familiar
	addresses *limiter // password attempts by client address
	names     *limiter // password attempts by user name
	logins    *limiter // logins to mail servers by user
	pushes    *limiter // pushes beside the queue by user
}

func newLimits() *limits {
	return &limits{
		familiar:  familiar{seen: make(map[string]time.Time)},
		addresses: newLimiter(10, 6*time.Second),
		names:     newLimiter(20, 3*time.Second),
		logins:    newLimiter(20, 3*time.Second),
		pushes:    newLimiter(30, 2*time.Second),
	}
}

// limiter allows each key a burst and then one more every so often.
type limiter struct {
	burst int
	every time.Duration

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: burst, every: every, buckets: make(map[string]*rate.Limiter)}
}

// take counts one try of the key; the error is a 429 that says when to come back, and then the try did not count.
func (l *limiter) take(key string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.bucket(key, now).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	p := problem(http.StatusTooManyRequests, "too_many_requests", "That was tried too often. Wait a little, then try again.")
	p.header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
	return p
}

func (l *limiter) bucket(key string, now time.Time) *rate.Limiter {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= mostBuckets {
		for k, b := range l.buckets {
			if b.TokensAt(now) >= float64(l.burst) {
				delete(l.buckets, k)
			}
		}
	}
	if len(l.buckets) >= mostBuckets {
		key = ""
	}
	b, ok := l.buckets[key]
	if !ok {
		b = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.buckets[key] = b
	}
	return b
}

// familiar remembers from where people have logged in and use their sessions, so that those who guess at their passwords from elsewhere cannot lock them out.
type familiar struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// familiarFor is how long a place is remembered.
const familiarFor = registry.StayIdle

func (f *familiar) note(address, name string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) >= mostBuckets {
		maps.DeleteFunc(f.seen, func(_ string, at time.Time) bool { return now.Sub(at) >= familiarFor })
	}
	if key := folded(name) + "\x00" + address; len(f.seen) < mostBuckets || !f.seen[key].IsZero() {
		f.seen[key] = now
	}
}

func (f *familiar) knows(address, name string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.seen[folded(name)+"\x00"+address]
	return ok && now.Sub(at) < familiarFor
}

// folded is a name as names are compared. Twice, for strings.EqualFold, by which they are found, knows letters that have more than two cases.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// allowPassword counts an attempt at a password, a setup token or an invite. The bound by name is the wider one, so that no single client can
// use it up and lock a person out; where the person has logged in before, attempts from elsewhere do not count.
func (l *limits) allowPassword(c caller, name string) error {
	now := time.Now()
	if err := l.addresses.take(c.address, now); err != nil || name == "" {
		return err
	}
	key := folded(name)
	if l.familiar.knows(c.address, name, now) {
		key += "\x00" + c.address
	}
	return l.names.take(key, now)
}

// allowLogin counts a login to a mail server for the caller; the admin token is free to provision.
func (l *limits) allowLogin(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.logins.take(c.user.ID, time.Now())
}

// allowPush counts a push beside the queue for the caller.
func (l *limits) allowPush(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.pushes.take(c.user.ID, time.Now())
}

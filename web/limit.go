package web

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// mostBuckets bounds what a limiter remembers. Beyond it, those that are new share one bucket.
const mostBuckets = 10_000

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

// clientAddress is the address that the connection comes from, of an IPv6 one the first 48 bits: a household is given up to that many to choose
// the rest freely. Headers of proxies are not believed: behind one, all clients have its address.
func clientAddress(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	address := at.Addr().Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(48)
	return prefix.String()
}

// passwordTried counts an attempt at a password or a setup token. The bound by name is the wider one, so that no single client can
// use it up and lock a person out.
func (s *server) passwordTried(c caller, name string) error {
	now := time.Now()
	if err := s.addresses.take(c.address, now); err != nil || name == "" {
		return err
	}
	// Twice, for strings.EqualFold, by which names are found, knows letters that have more than two cases.
	return s.names.take(strings.ToLower(strings.ToUpper(name)), now)
}

// loginTried counts a login to a mail server for the caller; the admin token is free to provision.
func (s *server) loginTried(c caller) error {
	if c.scope == admin {
		return nil
	}
	return s.logins.take(c.user.ID, time.Now())
}

// pushTried counts a push beside the queue for the caller.
func (s *server) pushTried(c caller) error {
	if c.scope == admin {
		return nil
	}
	return s.pushes.take(c.user.ID, time.Now())
}

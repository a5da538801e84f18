package web

import (
	"maps"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"idlepush/netguard"
	"idlepush/registry"
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

// peer is the address that the connection comes from; invalid where there is none.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return netguard.Canonical(at.Addr())
}

func (s *server) trusts(a netip.Addr) bool { return s.TrustedProxies.Contains(a) }

// throughProxy reports whether a proxy that is trusted passed the request on.
func (s *server) throughProxy(r *http.Request) bool { return s.trusts(peer(r)) }

// clientAddress is the address that the request comes from, of an IPv6 one the first 48 bits: a household is given up to that many to choose
// the rest freely. What a proxy says of it is believed of those that are trusted only, each for the one before it.
func (s *server) clientAddress(r *http.Request) string {
	address := peer(r)
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= 0 && s.trusts(address); i-- {
		before, err := netip.ParseAddr(strings.TrimSpace(forwarded[i]))
		if err != nil {
			break
		}
		address = netguard.Canonical(before)
	}
	if !address.IsValid() {
		return "unknown"
	}
	if address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(48)
	return prefix.String()
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

// passwordTried counts an attempt at a password, a setup token or an invite. The bound by name is the wider one, so that no single client can
// use it up and lock a person out; where the person has logged in before, attempts from elsewhere do not count.
func (s *server) passwordTried(c caller, name string) error {
	now := time.Now()
	if err := s.addresses.take(c.address, now); err != nil || name == "" {
		return err
	}
	key := folded(name)
	if s.familiar.knows(c.address, name, now) {
		key += "\x00" + c.address
	}
	return s.names.take(key, now)
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

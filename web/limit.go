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

// maxBuckets bounds the keys that a limiter remembers. Further keys share one bucket.
const maxBuckets = 10_000

// limits bounds how often callers may try something.
type limits struct {
	knownClients knownClients
	addresses    *limiter // password attempts by client address
	names        *limiter // password attempts by user name
	logins       *limiter // logins to mail servers by user
	pushes       *limiter // test pushes by user
}

func newLimits() *limits {
	return &limits{
		knownClients: knownClients{seen: make(map[string]time.Time)},
		addresses:    newLimiter(10, 6*time.Second),
		names:        newLimiter(20, 3*time.Second),
		logins:       newLimiter(20, 3*time.Second),
		pushes:       newLimiter(30, 2*time.Second),
	}
}

// limiter allows each key a burst of tries, and then one more per interval.
type limiter struct {
	burst int
	every time.Duration

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: burst, every: every, buckets: make(map[string]*rate.Limiter)}
}

// take counts one try of the key. If there were too many, it returns a 429 that says when to try
// again, and the try does not count.
func (l *limiter) take(key string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.bucket(key, now).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	p := problem(http.StatusTooManyRequests, "too_many_requests")
	p.header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
	return p
}

func (l *limiter) bucket(key string, now time.Time) *rate.Limiter {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= maxBuckets {
		for k, b := range l.buckets {
			if b.TokensAt(now) >= float64(l.burst) {
				delete(l.buckets, k)
			}
		}
	}
	if len(l.buckets) >= maxBuckets {
		key = ""
	}
	b, ok := l.buckets[key]
	if !ok {
		b = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.buckets[key] = b
	}
	return b
}

// knownClients remembers the addresses from which people have logged in. Password guessing from
// unknown addresses then cannot lock them out.
type knownClients struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// knownClientLifetime is how long an address is remembered after its last use.
const knownClientLifetime = registry.StayIdle

func (k *knownClients) add(address, name string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.seen) >= maxBuckets {
		maps.DeleteFunc(k.seen, func(_ string, at time.Time) bool { return !isRemembered(at, now) })
	}
	if key := foldName(name) + "\x00" + address; len(k.seen) < maxBuckets || !k.seen[key].IsZero() {
		k.seen[key] = now
	}
}

func (k *knownClients) has(address, name string, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.seen[foldName(name)+"\x00"+address]
	return ok && isRemembered(at, now)
}

// isRemembered reports whether a client that was last used at that time is remembered. One from the
// future, before the clock was set back, is not.
func isRemembered(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= 0 && age < knownClientLifetime
}

// foldName returns a key that is equal for names that strings.EqualFold finds equal. It changes the
// case twice, because some letters have more than two cases.
func foldName(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// allowPassword counts a try of a password, a setup token (name is empty) or an invite (likewise).
// The limit by name is wider than that by address, so that one client alone cannot lock a person
// out. Tries from elsewhere do not count against addresses from which the person has logged in.
func (l *limits) allowPassword(c caller, name string) error {
	now := time.Now()
	if err := l.addresses.take(c.address, now); err != nil || name == "" {
		return err
	}
	key := foldName(name)
	if l.knownClients.has(c.address, name, now) {
		key += "\x00" + c.address
	}
	return l.names.take(key, now)
}

// allowLogin counts a login to a mail server. The admin token has no limit.
func (l *limits) allowLogin(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.logins.take(c.user.ID, time.Now())
}

// allowPush counts a test push. The admin token has no limit.
func (l *limits) allowPush(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.pushes.take(c.user.ID, time.Now())
}

package web

import (
	"context"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"idlepush/cleantext"
	"idlepush/registry"
)

// maxBuckets bounds the keys that a limiter remembers. Further keys share one bucket.
const maxBuckets = 10_000

// limits bounds how often callers may try something.
type limits struct {
	registered registry.Logins
	addresses  *limiter    // password attempts by client address
	users      keptLimiter // password attempts by user
	browsers   *limiter    // password attempts by user and browser, of browsers that are recognized
	strangers  *limiter    // password attempts by name, if nobody has it
	logins     *limiter    // logins to mail servers by user
	lookups    *limiter    // look-ups of a given mail server by user
	pushes     *limiter    // test pushes by user
	challenges *limiter    // challenges for passkeys by client address
	trials     *limiter    // trials of rules by user
	receipts   *limiter    // reports of phones by client address

	trusted, others waiting // requests with a password to hash: see hashing
}

func newLimits(logins registry.Logins) *limits {
	return &limits{
		registered: logins,
		addresses:  newLimiter(10, 6*time.Second),
		users:      keptLimiter{logins, 20, 3 * time.Second},
		browsers:   newLimiter(20, 3*time.Second),
		strangers:  newLimiter(20, 3*time.Second),
		logins:     newLimiter(20, 3*time.Second),
		lookups:    newLimiter(30, 2*time.Second),
		pushes:     newLimiter(30, 2*time.Second),
		challenges: newLimiter(30, 2*time.Second),
		trials:     newLimiter(10, 6*time.Second),
		receipts:   newLimiter(300, 100*time.Millisecond),
		trusted:    waiting{slots: make(chan struct{}, 1)},
		others:     waiting{slots: make(chan struct{}, runtime.NumCPU())},
	}
}

// hashing waits until a password may be hashed, which keeps a processor busy for a large part of a
// second. Callers who have shown something already, such as a session, are trusted and do not wait
// behind strangers. The caller calls done afterwards.
func (l *limits) hashing(ctx context.Context, trusted bool) (done func(), err error) {
	if trusted {
		return l.trusted.enter(ctx)
	}
	return l.others.enter(ctx)
}

// maxWaiting is how many requests may wait for one place.
const maxWaiting = 10

// busyRetry is when a request that has found no place may come again, in seconds.
const busyRetry = "2"

// waiting bounds the work that is done at once, and the requests that wait for their turn.
type waiting struct {
	slots chan struct{} // taken by those whose turn it is
	count atomic.Int64
}

// enter waits for a turn, which ends with the call of done. It returns a 503 if too many wait, and
// the error of ctx if the client has gone meanwhile.
func (w *waiting) enter(ctx context.Context) (done func(), err error) {
	done = func() { <-w.slots }
	select {
	case w.slots <- struct{}{}:
		return done, nil
	default:
	}
	defer w.count.Add(-1)
	if w.count.Add(1) > maxWaiting {
		p := problem(http.StatusServiceUnavailable, "busy")
		p.header = http.Header{"Retry-After": {busyRetry}}
		return nil, p
	}
	select {
	case w.slots <- struct{}{}:
		if ctx.Err() == nil {
			return done, nil
		}
		done()
	case <-ctx.Done():
	}
	return nil, ctx.Err()
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
	return tooMany(wait)
}

// tooMany returns a 429 that says when to try again.
func tooMany(wait time.Duration) *Problem {
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

// keptLimiter is a limiter of users whose counts outlast a restart.
type keptLimiter struct {
	registered registry.Logins
	burst      int
	every      time.Duration
}

// take is like limiter.take.
func (l keptLimiter) take(user string, now time.Time) error {
	wait, err := l.registered.Guess(user, func(paid time.Time) (time.Time, time.Duration) { return l.spend(paid, now) })
	if err != nil || wait == 0 {
		return err
	}
	return tooMany(wait)
}

// spend pays for one more try, with an interval for each, unless that goes further beyond now than
// a burst: then it returns for how long to wait first. The clock may have been wrong before.
func (l keptLimiter) spend(paid, now time.Time) (time.Time, time.Duration) {
	full := now.Add(time.Duration(l.burst) * l.every)
	if paid.Before(now) {
		paid = now
	} else if paid.After(full) {
		paid = full
	}
	if next := paid.Add(l.every); !next.After(full) {
		return next, 0
	}
	return paid, paid.Add(l.every).Sub(full)
}

// allowSecret counts a try of a setup token or an invite.
func (l *limits) allowSecret(c caller) error { return l.addresses.take(c.address, time.Now()) }

// allowPassword counts a try of a password, and then waits until it may be hashed; the caller calls
// done afterwards. The limit by user is wider than that by address, so that one client alone cannot
// lock a person out. A browser with which the person has logged in has limits of its own, so that
// tries from elsewhere cannot lock it out either.
func (l *limits) allowPassword(ctx context.Context, c caller, name string) (done func(), err error) {
	user, known, err := l.registered.Recognize(name, c.mark)
	if err != nil {
		return nil, err
	}
	if err := l.take(c, user, cleantext.NameKey(name), known, time.Now()); err != nil {
		return nil, err
	}
	return l.hashing(ctx, known)
}

// take counts a try of a password for the user, or for a name that nobody has if user is empty.
func (l *limits) take(c caller, user, name string, known bool, now time.Time) error {
	if known {
		return l.browsers.take(user+" "+string(digest(c.mark)), now)
	}
	if err := l.addresses.take(c.address, now); err != nil {
		return err
	}
	if user != "" {
		return l.users.take(user, now)
	}
	if err := l.strangers.take(name, now); err != nil {
		return err
	}
	// To keep the count of a user takes a commit: who asks must not tell by the time who lives
	// here.
	_, err := l.registered.Guess("", func(time.Time) (time.Time, time.Duration) { return now, 0 })
	return err
}

// allowLogin counts a login to a mail server. The admin token has no limit.
func (l *limits) allowLogin(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.logins.take(c.user.ID, time.Now())
}

// allowHostLookup counts a look-up of the settings of a given mail server, without a request. The
// admin token has no limit.
func (l *limits) allowHostLookup(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.lookups.take(c.user.ID, time.Now())
}

// allowPush counts a test push. The admin token has no limit.
func (l *limits) allowPush(c caller) error {
	if c.scope == admin {
		return nil
	}
	return l.pushes.take(c.user.ID, time.Now())
}

// allowTrial counts a trial of rules, which reads a mailbox.
func (l *limits) allowTrial(c caller) error { return l.trials.take(c.user.ID, time.Now()) }

// allowReceipt counts a report of a phone. Several phones may have been offline behind one address.
func (l *limits) allowReceipt(c caller) error { return l.receipts.take(c.address, time.Now()) }

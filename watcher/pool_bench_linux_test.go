package watcher

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"idlepush/registry"
	"idlepush/registry/testenv"
)

// BenchmarkPool compares accounts that a Pool watches over TLS, each on a host of its own, with
// bare loops of the same exchange: what one costs to start, to wait, and to begin IDLE anew.
func BenchmarkPool(b *testing.B) {
	address := startServer(b)
	config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(2 * benchmarkSessions)}
	for b.Loop() {
		measure(b, newBareSessions(address, config)) // for its TLS sessions
		bare, pool := measure(b, newBareSessions(address, config)), measure(b, newPoolSessions(b, address, config))
		for _, m := range []struct {
			name string
			of   func(cost) float64
		}{
			{"start-µs", func(c cost) float64 { return c.start }}, {"refresh-µs", func(c cost) float64 { return c.refresh }},
			{"heap-B", func(c cost) float64 { return c.heap }}, {"stack-B", func(c cost) float64 { return c.stack }},
			{"goroutines", func(c cost) float64 { return c.goroutines }},
		} {
			b.ReportMetric(m.of(pool), m.name)
			b.ReportMetric(m.of(bare), "bare-"+m.name)
		}
	}
}

const (
	benchmarkSessions = 1000

	// benchmarkInterval is how long an IDLE lasts while refreshes are measured, at most.
	benchmarkInterval = 4 * time.Second
)

// idlers are sessions that wait.
type idlers interface {
	run(ctx context.Context)
	waiting() int // how many wait in IDLE
	hasten()      // lets an IDLE last no longer than benchmarkInterval
}

// cost is what one session costs: bytes, and microseconds of CPU.
type cost struct{ heap, stack, goroutines, start, refresh float64 }

func measure(b *testing.B, sessions idlers) (c cost) {
	b.Helper()
	before, began := settled(), cpu()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { sessions.run(ctx) })
	defer running.Wait()
	defer cancel()
	testenv.Await(b, "all sessions wait", func() error {
		if n := sessions.waiting(); n < benchmarkSessions {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	c.start = (cpu() - began) / benchmarkSessions
	after := settled()
	c.heap, c.stack, c.goroutines = (after.heap-before.heap)/benchmarkSessions, (after.stack-before.stack)/benchmarkSessions, (after.goroutines-before.goroutines)/benchmarkSessions
	sessions.hasten()
	time.Sleep(2 * benchmarkInterval)
	began = cpu()
	time.Sleep(4 * benchmarkInterval)
	c.refresh = (cpu() - began) / (4 * benchmarkSessions / 0.95) // see early
	return c
}

// cpu returns the CPU time of this process in microseconds.
func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec)*1e6 + float64(r.Utime.Usec+r.Stime.Usec)
}

// settled collects until stacks have shrunk.
func settled() (c cost) {
	for range 8 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{heap: float64(m.HeapAlloc), stack: float64(m.StackInuse), goroutines: float64(runtime.NumGoroutine())}
}

// bareSessions are sessions that are one loop each.
type bareSessions struct {
	address  string
	config   *tls.Config
	idle     atomic.Int32
	interval atomic.Int64
	mu       sync.Mutex
	conns    []net.Conn
}

func newBareSessions(address string, config *tls.Config) *bareSessions {
	l := &bareSessions{address: address, config: config}
	l.interval.Store(int64(time.Hour))
	return l
}

func (l *bareSessions) waiting() int { return int(l.idle.Load()) }

func (l *bareSessions) hasten() {
	l.interval.Store(int64(benchmarkInterval))
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		conn.SetReadDeadline(time.Now().Add(early(benchmarkInterval)))
	}
}

func (l *bareSessions) run(ctx context.Context) {
	var sessions sync.WaitGroup
	for n := range benchmarkSessions {
		sessions.Go(func() {
			if err := l.session(hostName(n)); ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "a bare session ended:", err)
			}
		})
	}
	<-ctx.Done()
	l.mu.Lock()
	for _, conn := range l.conns {
		conn.Close()
	}
	l.mu.Unlock()
	sessions.Wait()
}

func hostName(n int) string { return fmt.Sprintf("mail%d.example.org", n) }

func (l *bareSessions) session(host string) error {
	raw, err := net.Dial("tcp", l.address)
	if err != nil {
		return err
	}
	config := l.config.Clone()
	config.ServerName = host
	conn := tls.Client(raw, config)
	l.mu.Lock()
	l.conns = append(l.conns, raw)
	l.mu.Unlock()
	if err := l.ask(conn, bufio.NewReaderSize(conn, 512)); err != nil {
		return err
	}
	for {
		if err := l.wait(conn); err != nil {
			return err
		}
	}
}

// ask logs in, opens INBOX and looks, and leaves when IDLE has begun.
func (l *bareSessions) ask(conn net.Conn, r *bufio.Reader) error {
	defer l.idle.Add(1)
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	for _, command := range []string{"LOGIN anna secret", "EXAMINE INBOX", "UID SEARCH UID 2:*", "STATUS INBOX (MESSAGES UNSEEN)", "IDLE"} {
		if _, err := fmt.Fprintf(conn, "a %s\r\n", command); err != nil {
			return err
		}
		for line := ""; !strings.HasPrefix(line, "a OK") && !strings.HasPrefix(line, "+"); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait waits until IDLE is over and begins it anew.
func (l *bareSessions) wait(conn net.Conn) error {
	var buf [512]byte
	conn.SetReadDeadline(time.Now().Add(early(time.Duration(l.interval.Load()))))
	if _, err := conn.Read(buf[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	conn.SetReadDeadline(time.Time{})
	for _, line := range []string{"DONE\r\n", "a IDLE\r\n"} {
		if _, err := conn.Write([]byte(line)); err != nil {
			return err
		}
		if _, err := conn.Read(buf[:]); err != nil {
			return err
		}
	}
	return nil
}

// poolSessions are the accounts of a Pool.
type poolSessions struct {
	*Pool
	h *harness
}

func newPoolSessions(b *testing.B, address string, config *tls.Config) *poolSessions {
	b.Helper()
	first := scriptedAccount
	first.Host = hostName(0)
	h := newHarness(b, first)
	for n := range benchmarkSessions {
		a := first
		a.Host, a.Username, a.Email = hostName(n), fmt.Sprint("user ", n), fmt.Sprint("user", n, "@example.org")
		if n > 0 {
			h.add(b, a)
		}
		if err := h.store.Mail.PutHost(net.JoinHostPort(a.Host, fmt.Sprint(a.Port)), registry.Host{Reports: true}); err != nil {
			b.Fatal(err)
		}
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	return &poolSessions{&Pool{Store: h.store.Mail, Dialer: Dialer{Permit: permitAll, TLS: config, Dial: dial}, Log: h.log, rest: rarely}, h}
}

func (p *poolSessions) run(ctx context.Context) { p.Run(ctx) }

func (p *poolSessions) waiting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.known {
		if !known.live().Confirmed.IsZero() {
			n++
		}
	}
	return n
}

func (p *poolSessions) hasten() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, host := range p.hosts {
		host.mu.Lock()
		host.known.Interval = benchmarkInterval
		host.mu.Unlock()
	}
	for _, a := range p.askers {
		a.connection().EndIdle(time.Now().Add(early(benchmarkInterval)))
	}
}

package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"idlepush/watcher/imaptest"
)

// serveFor makes this program the server of BenchmarkIdleSessionMemory, so that only clients are
// measured.
const serveFor = "TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveFor) != "" {
		if err := serveBenchmark(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serveBenchmark serves over TLS until its input ends.
func serveBenchmark() error {
	certificate, err := makeCertificate()
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
	var wg sync.WaitGroup
	wg.Go(func() { script.ServeAll(l) })
	io.Copy(io.Discard, os.Stdin)
	l.Close()
	return nil
}

// BenchmarkIdleSessionMemory compares a session that waits in IDLE over TLS (resumed, as most are)
// with one of imapclient alone.
func BenchmarkIdleSessionMemory(b *testing.B) {
	address := startServer(b)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	var number int
	fmt.Sscan(port, &number)
	config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	ours := func(ctx context.Context, ready func()) error {
		c, err := Dial(ctx, Endpoint{Host: host, Port: number, Security: TLS, TLS: config}, DefaultLimits, testTimeout)
		if err != nil {
			return err
		}
		defer c.Close()
		f := follower{conn: c, next: 1}
		if err := f.open(); err != nil {
			return err
		}
		if err := f.look(); err != nil {
			return err
		}
		ready()
		_, err = c.Idle(time.Hour, testTimeout, IdleDelays{})
		return err
	}
	held := func(ctx context.Context, ready func()) error { return holdPlain(ctx, address, config, ready) }
	for b.Loop() {
		conn, plain := measure(b, ours), measure(b, held)
		b.ReportMetric(conn.heap, "heap-B/session")
		b.ReportMetric(conn.stack, "stack-B/session")
		b.ReportMetric(conn.goroutines, "goroutines/session")
		b.ReportMetric(plain.heap+plain.stack, "plain-B/session")
		b.ReportMetric(plain.goroutines, "plain-goroutines/session")
		b.ReportMetric((conn.heap+conn.stack)/(plain.heap+plain.stack), "ratio")
	}
}

func startServer(b *testing.B) (address string) {
	b.Helper()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), serveFor+"=1")
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		server.Wait()
	})
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

func holdPlain(ctx context.Context, address string, config *tls.Config, ready func()) error {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	if err := c.Login("alice", "secret").Wait(); err != nil {
		return err
	}
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return err
	}
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true}
	if _, err := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect(); err != nil {
		return err
	}
	idle, err := c.Idle()
	if err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return idle.Close()
}

type cost struct{ heap, stack, goroutines float64 }

// measure runs sessions until all idle and returns what one costs.
func measure(b *testing.B, session func(ctx context.Context, ready func()) error) cost {
	const sessions = 200
	b.Helper()
	before := settled()
	ctx, cancel := context.WithCancel(context.Background())
	var running, getting sync.WaitGroup
	getting.Add(sessions)
	for range sessions {
		running.Go(func() {
			if err := session(ctx, getting.Done); ctx.Err() == nil {
				b.Errorf("session: %v", err)
				getting.Done()
			}
		})
	}
	getting.Wait()
	after := settled()
	cancel()
	running.Wait()
	return cost{(after.heap - before.heap) / sessions, (after.stack - before.stack) / sessions, (after.goroutines - before.goroutines) / sessions}
}

// settled collects until stacks have shrunk.
func settled() cost {
	for range 8 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{float64(m.HeapAlloc), float64(m.StackInuse), float64(runtime.NumGoroutine())}
}

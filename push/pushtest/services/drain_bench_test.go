package services_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/push/fcm"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// answering is set in the environment of a process that is only a push service.
const answering = "IDLEPUSH_ANSWERING"

// answer is a push service that reads nothing of a request, so that it costs little. It prints its
// origin, and ends with its input.
func answer() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/token") {
			fmt.Fprint(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
			return
		}
		fmt.Fprint(w, `{"name":"projects/family-mail/messages/1"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// elsewhere starts answer in a process of its own, whose CPU time does not count, and trusts
// its certificate.
func elsewhere(b *testing.B) (origin string) {
	same := httptest.NewTLSServer(nil) // they all have the same certificate
	same.Close()
	roots := filepath.Join(b.TempDir(), "roots.pem")
	fatal(b, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: same.Certificate().Raw}), 0o600))
	b.Setenv("SSL_CERT_FILE", roots)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), answering+"=1")
	in, err := cmd.StdinPipe()
	fatal(b, err)
	out, err := cmd.StdoutPipe()
	fatal(b, err)
	fatal(b, cmd.Start())
	b.Cleanup(func() {
		fatal(b, in.Close())
		fatal(b, cmd.Wait())
	})
	origin, err = bufio.NewReader(out).ReadString('\n')
	fatal(b, err)
	return strings.TrimSpace(origin)
}

// counted is a transport that reports when it has sent a number of messages.
type counted struct {
	push.Transport
	left atomic.Int64
	done chan struct{}
}

func (c *counted) Send(ctx context.Context, d idlepush.Device, m push.Message) registry.Outcome {
	o := c.Transport.Send(ctx, d, m)
	if o.Result == registry.ResultDelivered && c.left.Add(-1) == 0 {
		close(c.done)
	}
	return o
}

// fill queues mail for the phones, ten of which share an account.
func fill(b *testing.B, s *registry.Store, phones, each int) {
	owner, err := s.Users.Add("ann", "planted password", false, "", "", time.Now())
	fatal(b, err)
	var adding sync.WaitGroup
	for from := 0; from < phones; from += 10 {
		a, _, err := s.Accounts.Add(idlepush.Account{Owner: owner.ID, Email: "ann@example.org", Host: "imap.example.org", Port: 993,
			Security: idlepush.SecurityTLS, Username: fmt.Sprint(from), Password: "p", Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
		fatal(b, err)
		for i := range min(10, phones-from) {
			adding.Go(func() {
				d := idlepush.Device{User: owner.ID, Name: "phone", Transport: fcm.Name, Lane: string(fcm.Name), Address: idlepush.Secret(fmt.Sprint("token", from+i)),
					Content: idlepush.LevelPreview, Accounts: []string{a.ID}, Status: idlepush.Status{State: idlepush.StateProven}}
				if _, _, err := s.Devices.Register(d, "", time.Now()); err != nil {
					b.Error(err)
				}
			})
		}
		adding.Wait()
		at := registry.Cursor{}
		for uid := uint32(1); uid <= uint32(each); {
			arrival := registry.Arrival{Account: a.ID, Folder: "INBOX", From: at, At: time.Now()}
			for ; uid <= uint32(each) && len(arrival.Mails) < registry.MaxMails; uid++ {
				arrival.Mails = append(arrival.Mails, registry.Message{UID: uid,
					Content: idlepush.Content{From: "Ann Example", Subject: fmt.Sprint("Dinner on Sunday? ", uid), Preview: "We thought of six."}})
			}
			arrival.To = registry.Cursor{UIDValidity: 1, Next: uid}
			_, err := s.Mail.Record(arrival)
			fatal(b, err)
			at = arrival.To
		}
	}
}

// BenchmarkDrain measures the cost of a delivery for this process, from the store to the answer of
// FCM, while a long queue is sent. "In memory" is a file system without a disk.
func BenchmarkDrain(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		for _, phones := range []int{10, 200, 1000} {
			b.Run(fmt.Sprintf("%s/%d phones", where, phones), func(b *testing.B) {
				dir := b.TempDir()
				if where == "memory" {
					var err error
					dir, err = os.MkdirTemp("/dev/shm", "drain")
					fatal(b, err)
					b.Cleanup(func() { fatal(b, os.RemoveAll(dir)) })
				}
				drain(b, dir, phones)
			})
		}
	}
}

func drain(b *testing.B, dir string, phones int) {
	store, err := registry.Open(dir, registry.Options{Unlimited: true})
	fatal(b, err)
	defer func() { fatal(b, store.Close()) }()
	each := (b.N + phones - 1) / phones
	fill(b, store, phones, each)
	origin := elsewhere(b)
	account, err := pushtest.NewFCM("family-mail")
	fatal(b, err)
	sender, err := fcm.New(fcm.Config{Credentials: account.Credentials(origin), Endpoint: origin + "/v1"})
	fatal(b, err)
	c := &counted{Transport: sender, done: make(chan struct{})}
	c.left.Store(int64(phones * each))
	d := &push.Dispatcher{Store: store.Outbox, Transports: push.Transports{c},
		URL: func() string { return home }, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime(b)
	running.Go(func() { d.Run(ctx) })
	<-c.done
	cancel()
	running.Wait()
	took, used := time.Since(start), cpuTime(b)-cpu
	done := float64(phones * each)
	b.ReportMetric(float64(used.Microseconds())/done, "cpu-µs/delivery")
	b.ReportMetric(done/took.Seconds(), "deliveries/s")
	b.ReportMetric(0, "ns/op")
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	fatal(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

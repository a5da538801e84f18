//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// floor is the least that a client does: bare loops of the exchange of idlepush, which store
// nothing. It runs in a process of its own.
type floor struct {
	Roots    string        // file of the authority
	MailPort int           // of the mail server
	Push     string        // host and port of the push service
	Sessions int           // how many mailboxes it waits for; the users are those of floorUser
	Refresh  time.Duration // after so much silence it ends IDLE and asks; 0: never
	Requests int           // instead of sessions: makes so many requests and ends
	Service  string        // that it sends to

	client http.Client
	tls    map[netip.Addr]*tls.Config
}

func floorUser(i int) string { return fmt.Sprint("floor", i) }

// floorCommand is the first argument of a process that is the floor; the second is a floor in JSON.
const floorCommand = "floor"

func (f floor) command() *exec.Cmd {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // it has only texts and numbers
	}
	cmd := exec.Command("/proc/self/exe", floorCommand, string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

// runFloor is the process of a floor. With sessions it runs until it is killed.
func runFloor(text string) error {
	f := floor{tls: make(map[netip.Addr]*tls.Config)}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return err
	}
	pem, err := os.ReadFile(f.Roots)
	if err != nil {
		return err
	}
	roots, cache := x509.NewCertPool(), tls.NewLRUClientSessionCache(4096)
	roots.AppendCertsFromPEM(pem)
	f.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	for i := range f.Sessions {
		if host := hostOf(i); f.tls[host] == nil {
			f.tls[host] = &tls.Config{RootCAs: roots, ServerName: host.String(), ClientSessionCache: cache}
		}
	}
	if f.Requests > 0 {
		return f.request()
	}
	var group errgroup.Group
	turns := make(chan bool, 64) // connections that are made at once
	// The first of each host come first, so that all others can resume.
	for first := range accountsPerHost {
		for i := first; i < f.Sessions; i += accountsPerHost {
			turns <- true
			group.Go(func() error { return f.session(i, turns) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	select {} // a process without sessions is measured, too
}

// request makes all requests, 64 at once.
func (f *floor) request() error {
	var group errgroup.Group
	group.SetLimit(64)
	for range f.Requests {
		group.Go(func() error { return f.post() })
	}
	return group.Wait()
}

// Bodies as idlepush sends them, but that nobody can read.
var (
	sealed  = bytes.Repeat([]byte("x"), 520)
	fcmBody = []byte(`{"message":{"data":{"idlepush":"` + strings.Repeat("x", 330) + `"},"android":{"priority":"high","ttl":"259200s"},"token":"` + strings.Repeat("t", 160) + `"}}`)
	alert   = []byte(`{"aps":{"alert":{"title":"Ann Example","body":"Dinner on Sunday?"},"badge":1,"sound":"default"},"idlepush":{"p":"` + strings.Repeat("x", 330) + `"}}`)
)

// post sends a push.
func (f *floor) post() error {
	path, body, header := fcmPath, fcmBody, http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer loadtest"}}
	switch f.Service {
	case apns:
		path, body = apnsPath+strings.Repeat("a", 64), alert
		header = http.Header{"Authorization": {"bearer " + strings.Repeat("j", 180)}, "Apns-Topic": {"org.example.mail"}, "Apns-Push-Type": {"alert"}, "Apns-Priority": {"10"},
			"Apns-Collapse-Id": {strings.Repeat("i", 32)}}
	case webpush:
		path, body = webPath+strings.Repeat("w", 160), sealed
		header = http.Header{"Authorization": {"vapid t=" + strings.Repeat("j", 220) + ", k=" + strings.Repeat("k", 87)}, "Content-Type": {"application/octet-stream"},
			"Content-Encoding": {"aes128gcm"}, "Ttl": {"259200"}, "Urgency": {"high"}, "Topic": {strings.Repeat("i", 32)}}
	}
	r, err := http.NewRequest(http.MethodPost, "https://"+f.Push+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	resp, err := f.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// floorItems are what the session asks of a mail, as idlepush does.
const floorItems = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SENDER TO CC SUBJECT DATE MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID LIST-UNSUBSCRIBE PRECEDENCE AUTO-SUBMITTED " +
	"CONTENT-TYPE CONTENT-TRANSFER-ENCODING)] BODY.PEEK[TEXT]<0.4096>)"

// session waits for mail of the i-th account, and sends a push for each. It returns its turn
// once it has logged in.
func (f *floor) session(i int, turns chan bool) error {
	var conn *tls.Conn
	var in *bufio.Reader
	var err error
	var loggingIn sync.WaitGroup
	loggingIn.Go(func() { conn, in, err = f.logIn(i) }) // it needs a deep stack, which would stay
	loggingIn.Wait()
	<-turns
	if err != nil {
		return err
	}
	defer conn.Close()
	for first := true; ; first = false {
		if _, err := io.WriteString(conn, "i IDLE\r\n"); err != nil {
			return err
		}
		if f.Refresh > 0 {
			wait := f.Refresh
			if first {
				wait = rand.N(wait) // they do not act at once
			}
			conn.SetReadDeadline(time.Now().Add(wait))
		}
		mails, err := awaitMail(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			conn.SetReadDeadline(time.Time{})
			err = exchange(conn, in, "DONE\r\nr NOOP\r\n", "r OK")
		case err == nil:
			if err = exchange(conn, in, "DONE\r\nf UID FETCH "+strconv.Itoa(mails)+":* "+floorItems+"\r\n", "f OK"); err == nil {
				err = f.post()
			}
		}
		if err != nil {
			return err
		}
	}
}

func (f *floor) logIn(i int) (*tls.Conn, *bufio.Reader, error) {
	host := hostOf(i)
	raw, err := net.Dial("tcp4", netip.AddrPortFrom(host, uint16(f.MailPort)).String())
	if err != nil {
		return nil, nil, err
	}
	conn := tls.Client(raw, f.tls[host])
	if err := conn.HandshakeContext(context.Background()); err != nil {
		return nil, nil, err
	}
	in := bufio.NewReaderSize(conn, 512)
	_, err = in.ReadString('\n') // the greeting
	for _, command := range []string{"LOGIN " + floorUser(i) + " password", "EXAMINE INBOX"} {
		if err == nil {
			err = exchange(conn, in, "a "+command+"\r\n", "a OK")
		}
	}
	return conn, in, err
}

// exchange writes a command and reads up to the line that begins with last.
func exchange(conn io.Writer, in *bufio.Reader, command, last string) error {
	if _, err := io.WriteString(conn, command); err != nil {
		return err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if bytes.HasPrefix(line, []byte(last)) {
			return nil
		}
	}
}

// awaitMail returns how many mails the server says there are.
func awaitMail(in *bufio.Reader) (int, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if number, ok := bytes.CutSuffix(line, []byte(" EXISTS\r\n")); ok {
			return strconv.Atoi(string(bytes.TrimPrefix(number, []byte("* "))))
		}
	}
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush"
	"idlepush/cmd/idlepush/api"
	"idlepush/netguard"
	"idlepush/watcher/imapmem"
)

// object is a JSON object.
type object = map[string]any

// Times of the demo: the first mail comes after demoFirst, and each further one after demoEvery.
const (
	demoFirst = time.Second
	demoEvery = 3 * time.Second
)

// demo runs serve without any configuration or network: with a mail server in memory, a stand-in
// for each push service, and one phone on each. A mail arrives every few seconds. Each mail and
// each push is one line on out. It runs until ctx ends.
func demo(ctx context.Context, out io.Writer) error {
	d, err := newDemo(out)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "idlepush-demo")
	if err != nil {
		return err
	}
	if err := errors.Join(d.run(ctx, dir), os.RemoveAll(dir)); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.say("stopped; all data of the demo is deleted")
	return nil
}

// run serves everything until ctx ends, which is no error, or a part of it fails.
func (d *demonstration) run(until context.Context, dir string) error {
	group, ctx := errgroup.WithContext(until)
	d.standIns.run(ctx, group)
	group.Go(func() error { return d.mailbox.Serve(ctx, d.mailAt) })
	serving := make(chan net.Addr, 1)
	group.Go(func() error {
		return serve(ctx, d.settings(dir), slog.New(slog.DiscardHandler), func(a net.Addr) { serving <- a })
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case at := <-serving:
			return d.show(ctx, at.String(), dir)
		}
	})
	if err := group.Wait(); until.Err() == nil {
		return err
	}
	return nil
}

// demonstration is the environment of the daemon in a demo.
type demonstration struct {
	*standIns

	listen     string // address of the page and the API
	mailbox    *imapmem.Server
	mailAt     net.Listener
	password   string                              // of the mailbox
	login      string                              // of the page
	registered map[idlepush.Secret]idlepush.Device // by address
	receipts   chan string                         // paths to which phones are to report

	mu       sync.Mutex // guards out and appended
	out      io.Writer
	appended map[string]time.Time // by subject
	last     time.Time            // of appended
}

func newDemo(out io.Writer) (*demonstration, error) {
	d := &demonstration{listen: demoAddress(), password: rand.Text(), out: out,
		registered: make(map[idlepush.Secret]idlepush.Device), receipts: make(chan string, 100), appended: make(map[string]time.Time)}
	var err error
	if d.mailbox, err = imapmem.New("anna@example.org", d.password, nil); err != nil {
		return nil, err
	}
	if d.standIns, err = newStandIns(loopback, d.received); err != nil {
		return nil, err
	}
	d.mailAt, err = loopback()
	return d, err
}

func (d *demonstration) settings(dir string) settings {
	s := d.standIns.settings()
	s.listen, s.data, s.allowMail = d.listen, dir, netguard.At(d.mailAt.Addr())
	return s
}

// demoAddress returns the usual address, or one with any free port if that is in use.
func demoAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return "127.0.0.1:8080"
}

// show sets up the daemon over its API, as a user would, and lets mail arrive until ctx ends.
func (d *demonstration) show(ctx context.Context, address, dir string) error {
	c := &api.Client{Base: "http://" + address + "/api/v1"}
	if err := d.setUp(ctx, c, dir); err != nil {
		return err
	}
	d.say("idlepush runs at http://%s/ with one mailbox and four phones; Ctrl-C ends it", address)
	d.say("log in there as anna, with the password %s", d.login)
	d.say("try the API with: curl -H 'Authorization: Bearer %s' %s/notifications", c.Token, c.Base)
	if err := d.awaitWatching(ctx, c); err != nil {
		return err
	}
	timer := time.NewTimer(demoFirst)
	defer timer.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case path := <-d.receipts:
			now := time.Now()
			if err := c.Post(ctx, strings.TrimPrefix(path, "/api/v1"), object{"received": now, "shown": now, "now": now}, nil); err != nil {
				return err
			}
		case <-timer.C:
			if err := d.arrive(n); err != nil {
				return err
			}
			n++
			timer.Reset(demoEvery)
		}
	}
}

func (d *demonstration) setUp(ctx context.Context, c *api.Client, dir string) error {
	token, err := os.ReadFile(dir + "/setup-token")
	if err != nil {
		return err
	}
	var made struct{ Token string }
	d.login = rand.Text()
	if err := c.Post(ctx, "/setup", object{"token": strings.TrimSpace(string(token)), "name": "anna", "password": d.login}, &made); err != nil {
		return err
	}
	c.Token = made.Token
	at := d.mailAt.Addr().(*net.TCPAddr)
	var account struct{ ID string }
	if err := c.Post(ctx, "/accounts", object{"email": "anna@example.org", "host": "127.0.0.1", "port": at.Port, "security": "none",
		"username": "anna@example.org", "password": d.password}, &account); err != nil {
		return err
	}
	if err := c.Call(ctx, "PUT", "/accounts/"+account.ID+"/wishes", demoWishes, nil); err != nil {
		return err
	}
	return d.register(ctx, c)
}

// demoWishes are those of the mailbox. All of its mail is shown, some without a sound.
var demoWishes = object{
	"revision": 0, "name": "Home", "color": "#1d6b3a", "people": []string{"berta@example.org"},
	"rules": []object{{"if": object{"from": []string{"backup@example.org"}, "subject": []string{"done"}}, "then": object{"ring": "silent"}}},
}

// demoQuiet are the wishes of a phone that shows mail without a sound at night.
var demoQuiet = object{"revision": 0, "quiet": object{"zone": "Europe/Berlin", "mode": "silent", "people": true, "attention": true,
	"hours": []object{{"days": []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "from": "22:00", "to": "07:00"}}}}

// demoContent is the content level of each phone.
var demoContent = map[string]idlepush.Level{"Pixel": idlepush.LevelSubject, "iPhone": idlepush.LevelSubject,
	"Firefox": idlepush.LevelPreview, "Fairphone": idlepush.LevelSender}

// register registers a phone of each transport. The last has quiet hours.
func (d *demonstration) register(ctx context.Context, c *api.Client) error {
	phones, err := d.standIns.phones()
	if err != nil {
		return err
	}
	var made struct{ ID string }
	for _, p := range phones {
		d.registered[p.Address] = p
		body := object{"name": p.Name, "transport": p.Transport, "content": demoContent[p.Name]}
		if strings.HasPrefix(string(p.Address), "http") {
			body["subscription"] = object{"endpoint": string(p.Address), "keys": api.Keys(*p.Keys)}
		} else {
			body["token"], body["encryption"] = string(p.Address), api.Keys(*p.Keys)
		}
		if err := c.Post(ctx, "/devices", body, &made); err != nil {
			return err
		}
	}
	return c.Call(ctx, "PUT", "/devices/"+made.ID+"/wishes", demoQuiet, nil)
}

// awaitWatching waits until the account is watched: mail that exists before the first look is not
// notified.
func (d *demonstration) awaitWatching(ctx context.Context, c *api.Client) error {
	for {
		var list struct {
			Items []struct{ Status struct{ State string } }
		}
		if err := c.Get(ctx, "/accounts", &list); err != nil {
			return err
		}
		if len(list.Items) > 0 && list.Items[0].Status.State == string(idlepush.StateWatching) {
			return nil
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

var demoMails = []struct{ from, address, subject, text string }{
	{"Berta Baum", "berta@example.org", "Lunch?", "The new place at the corner has dumplings. Half past twelve?"},
	{"Münzenberger Verein", "verein@example.org", "Einladung zum Sommerfest", "Liebe Mitglieder, am Samstag ist es so weit."},
	{"Backup", "backup@example.org", "nas: backup done", "3 folders, 12 GB, no errors."},
	{"村上", "murakami@example.org", "Re: keys 🔑", "They are under the flower pot again."},
}

// arrive appends the n-th mail to the mailbox.
func (d *demonstration) arrive(n int) error {
	m := demoMails[n%len(demoMails)]
	subject := fmt.Sprintf("%s (%d)", m.subject, n+1)
	from := mail.Address{Name: m.from, Address: m.address}
	message := fmt.Sprintf("From: %s\r\nTo: anna@example.org\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n",
		from.String(), mime.QEncoding.Encode("utf-8", subject), time.Now().Format(time.RFC1123Z), rand.Text(), m.text)
	d.say("mail from %s: %s", m.from, subject)
	d.mu.Lock()
	d.appended[subject], d.last = time.Now(), time.Now()
	d.mu.Unlock()
	_, err := d.mailbox.Append("INBOX", []byte(message))
	return err
}

// received prints a notification, and the delay of one mail after that. Without a subject in it,
// that is the last mail.
func (d *demonstration) received(address idlepush.Secret, payload []byte, at time.Time) {
	var p struct {
		Kind                 idlepush.Kind
		Title, Body, Subject string
		Clear                []string
		Receipt              string
	}
	if json.Unmarshal(payload, &p) != nil {
		return
	}
	if p.Receipt != "" {
		select {
		case d.receipts <- p.Receipt:
		default: // the phone has much to do
		}
	}
	text, delay := p.Title, ""
	if p.Body != "" {
		text += ": " + strings.ReplaceAll(p.Body, "\n", " / ")
	}
	switch p.Kind {
	case idlepush.KindClear:
		text = fmt.Sprintf("takes away %d", len(p.Clear))
	case idlepush.KindMail:
		d.mu.Lock()
		sent, known := d.appended[p.Subject]
		if !known {
			sent = d.last
		}
		d.mu.Unlock()
		delay = fmt.Sprintf("+%3d ms", at.Sub(sent).Milliseconds())
	}
	phone := d.registered[address]
	d.say("  push %-7s  %-11s  %-9s  %s", delay, phone.Transport, phone.Name, text)
}

func (d *demonstration) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, time.Now().Format("15:04:05.000")+"  "+format+"\n", args...)
}

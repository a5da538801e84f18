//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush"
	"idlepush/push/pushtest"
	"idlepush/registry"
)

// The push services that phones have.
const (
	fcm     = "fcm"
	apns    = "apns"
	webpush = "webpush"
)

// household is what a store has when idlepush starts.
type household struct {
	accounts int
	phones   int           // of each account
	service  string        // that reaches the phones
	mails    int           // that wait for each phone; if there are any, no mail server is there
	interval time.Duration // that the mail servers are known to bear in IDLE; 0: it is not known
}

func accountUser(i int) string { return fmt.Sprint("account", i) }

// users returns n user names.
func users(n int, name func(int) string) (list []string) {
	for i := range n {
		list = append(list, name(i))
	}
	return list
}

// planting is a store that is being filled.
type planting struct {
	household
	lab   *lab
	store *registry.Store
	keys  idlepush.Keys // of all browsers
}

// plant makes a store in dir, without waiting for the disk.
func (l *lab) plant(dir string, h household) (err error) {
	store, err := registry.Open(dir, registry.Options{NoSync: true, Unlimited: true, QuickHash: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	receiver, err := pushtest.NewReceiver()
	if err != nil {
		return err
	}
	p := planting{h, l, store, receiver.Keys()}
	token, err := store.Users.SetupToken()
	if err != nil {
		return err
	}
	owner, _, err := store.Users.Setup(token, "admin", "a password of the load test", "", nil, time.Now())
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(64) // they share commits
	for i := range h.accounts {
		if i%accountsPerHost == 0 {
			if owner, err = store.Users.Add(fmt.Sprint("user ", i), "a password of the load test", false, "", "", time.Now()); err != nil {
				return err
			}
			if err := p.host(i); err != nil {
				return err
			}
		}
		group.Go(func() error { return p.account(owner.ID, i) })
	}
	return group.Wait()
}

// host notes what is known of the mail server of the i-th account.
func (p *planting) host(i int) error {
	if p.interval == 0 {
		return nil
	}
	name := netip.AddrPortFrom(hostOf(i), uint16(p.lab.mail.port)).String()
	return p.store.Mail.PutHost(name, registry.Host{Interval: p.interval, Reports: true, Since: time.Now()})
}

// unusedPort is one at which nobody listens.
const unusedPort = 1

func (p *planting) account(owner string, i int) error {
	port := p.lab.mail.port
	if p.mails > 0 {
		port = unusedPort
	}
	user := accountUser(i)
	a, _, err := p.store.Accounts.Add(idlepush.Account{Owner: owner, Email: user + "@example.org", Host: hostOf(i).String(), Port: port, Security: idlepush.SecurityTLS,
		Username: user, Password: "password", Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	if err != nil {
		return err
	}
	for n := range p.phones {
		if err := p.phone(a, n); err != nil {
			return err
		}
	}
	return p.wait(a)
}

func (p *planting) phone(a idlepush.Account, n int) error {
	name := a.Username + "-" + strconv.Itoa(n)
	d := idlepush.Device{User: a.Owner, Name: name, Transport: idlepush.Transport(p.service), Lane: p.service, Content: idlepush.LevelPreview, Accounts: []string{a.ID},
		Status: idlepush.Status{State: idlepush.StateProven}}
	switch p.service {
	case fcm:
		d.Address = idlepush.Secret("token:" + name)
	case apns:
		d.Address = idlepush.Secret(fmt.Sprintf("%064x", name))
		d.Lane, d.Params = "apns production", map[string]string{"environment": "production"}
	case webpush:
		d.Address = idlepush.Secret("https://" + p.lab.push.address + webPath + name)
		d.Lane, d.MustShow, d.Keys = "webpush https://"+p.lab.push.address, true, &p.keys
	}
	_, _, err := p.store.Devices.Register(d, "", time.Now())
	return err
}

// wait has mail wait for the phones of the account.
func (p *planting) wait(a idlepush.Account) error {
	var at registry.Cursor
	for uid := uint32(1); uid <= uint32(p.mails); {
		arrival := registry.Arrival{Account: a.ID, Folder: "INBOX", From: at, At: time.Now()}
		for ; uid <= uint32(p.mails) && len(arrival.Mails) < registry.MaxMails; uid++ {
			arrival.Mails = append(arrival.Mails, registry.Message{UID: uid,
				Content: idlepush.Content{From: "Ann Example", Subject: fmt.Sprint("Dinner on Sunday? ", uid), Preview: mailText}})
		}
		arrival.To = registry.Cursor{UIDValidity: 1, Next: uid}
		if _, err := p.store.Mail.Record(arrival); err != nil {
			return err
		}
		at = arrival.To
	}
	return nil
}

// freeAddress returns an address that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

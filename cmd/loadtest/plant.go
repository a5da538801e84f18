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
	mails    int           // for each phone; if there are any, no mail server is there
	kept     bool          // the mails are delivered already, and kept
	interval time.Duration // that the mail servers are known to bear in IDLE; 0: it is not known
}

// people are tokens of full scope: of the owner of the first account, and of a user with none.
type people struct{ somebody, nobody string }

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
	admin string        // the id of the user
}

// plant makes a store in dir, without waiting for the disk.
func (l *lab) plant(dir string, h household) (who people, err error) {
	store, err := registry.Open(dir, registry.Options{NoSync: true, Unlimited: true, QuickHash: true})
	if err != nil {
		return who, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	receiver, err := pushtest.NewReceiver()
	if err != nil {
		return who, err
	}
	p := planting{household: h, lab: l, store: store, keys: receiver.Keys()}
	token, err := store.Users.SetupToken()
	if err != nil {
		return who, err
	}
	admin, _, err := store.Users.Setup(token, "admin", "a password of the load test", "", nil, time.Now())
	if err != nil {
		return who, err
	}
	if _, who.nobody, err = store.Logins.AddToken(admin.ID, "load test", idlepush.ScopeFull, "", time.Now()); err != nil {
		return who, err
	}
	p.admin = admin.ID
	var owner idlepush.User
	var group errgroup.Group
	group.SetLimit(64) // they share commits
	for i := range h.accounts {
		if i%accountsPerHost == 0 {
			if owner, err = p.join(fmt.Sprint("user ", i)); err != nil {
				return who, err
			}
			if i == 0 {
				if _, who.somebody, err = store.Logins.AddToken(owner.ID, "load test", idlepush.ScopeFull, "", time.Now()); err != nil {
					return who, err
				}
			}
			if err := p.host(i); err != nil {
				return who, err
			}
		}
		of := owner.ID
		group.Go(func() error { return p.account(of, i) })
	}
	return who, group.Wait()
}

// join adds a user, by an invite of the admin.
func (p *planting) join(name string) (idlepush.User, error) {
	_, code, err := p.store.Users.AddInvite(p.admin, registry.InviteForPerson, false, "", time.Now())
	if err != nil {
		return idlepush.User{}, err
	}
	u, _, err := p.store.Users.Accept(code, name, "a password of the load test", registry.Visit{}, time.Now())
	return u, err
}

// host writes the row of the mail server of the i-th account.
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
	var phones []string
	for n := range p.phones {
		phone, err := p.phone(a, n)
		if err != nil {
			return err
		}
		phones = append(phones, phone)
	}
	if err := p.wait(a); err != nil || !p.kept {
		return err
	}
	for _, phone := range phones {
		if err := p.deliver(phone); err != nil {
			return err
		}
	}
	return nil
}

// phone returns the id of the n-th phone of the account.
func (p *planting) phone(a idlepush.Account, n int) (string, error) {
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
	d, _, err := p.store.Devices.Register(d, "", time.Now())
	return d.ID, err
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

// deliver settles the pushes that wait for a phone, as if the push service had accepted them.
func (p *planting) deliver(phone string) error {
	for {
		w, ok, err := p.store.Outbox.Next(phone, time.Now())
		if err != nil || !ok {
			return err
		}
		if _, err := p.store.Outbox.Settle(w, registry.Outcome{Result: registry.ResultDelivered}, time.Now()); err != nil {
			return err
		}
	}
}

// freeAddress returns an address that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

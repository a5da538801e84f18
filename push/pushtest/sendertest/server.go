package sendertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

// Server is a store with a dispatcher.
type Server struct {
	testing.TB
	Store      *registry.Store
	Transports push.Transports
	Codes      codes.Table
	BurstLimit int // 0: none
}

// Must ends the test if err is not nil.
func (s *Server) Must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// Start runs a dispatcher on the store until stop is called.
func (s *Server) Start() (stop func()) {
	s.Helper()
	log, _ := registrytest.NewLog(s)
	ctx, cancel := context.WithCancel(context.Background())
	d := &push.Dispatcher{Store: s.Store.Outbox, Transports: s.Transports, Codes: s.Codes, URL: func() string { return "" }, BurstLimit: s.BurstLimit, Log: log}
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// AddAccount adds an account of the user with the name, and returns its id.
func (s *Server) AddAccount(user, name string) string {
	s.Helper()
	a, _, err := s.Store.Accounts.Add(idlepush.Account{Owner: user, Email: name + "@example.org",
		Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS, Username: name,
		Password: registrytest.SecretMarker, Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	s.Must(err)
	return a.ID
}

// Register registers a proven device of the user.
func (s *Server) Register(user, name string, d idlepush.Device) idlepush.Device {
	s.Helper()
	d.Name, d.User, d.Content, d.Status.State = name, user, idlepush.LevelSubject, idlepush.StateProven
	d, _, err := s.Store.Devices.Register(s.Transports.Routed(d), "", time.Now())
	s.Must(err)
	return d
}

// Mail records n new mails in the account, and returns their stable ids.
func (s *Server) Mail(account string, n int) (ids []string) {
	s.Helper()
	from, err := s.Store.Mail.Cursor(account, "INBOX")
	s.Must(err)
	a := registry.Arrival{Account: account, Folder: "INBOX", From: from, At: time.Now()}
	next := max(1, from.Next)
	for range n {
		a.Mails = append(a.Mails, registry.Message{UID: next, Content: idlepush.Content{From: "Bo", Subject: fmt.Sprint("Mail ", next)}})
		ids = append(ids, registry.StableID(account, "INBOX", 1, next))
		next++
	}
	a.To = registry.Cursor{UIDValidity: 1, Next: next}
	_, err = s.Store.Mail.Record(a)
	s.Must(err)
	return ids
}

// Package imapmem is an IMAP server in memory with one user: the server of go-imap, for the demo
// and the tests.
//
// It is fast, the same wherever Go runs, and well-behaved. It announces IMAP4rev1 and IMAP4rev2
// with IDLE, but neither CONDSTORE nor NOTIFY.
package imapmem

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// Server is one user's mailbox. It may be used from several goroutines.
type Server struct {
	user *imapmemserver.User
	imap *imapserver.Server
}

// New makes a server with one user and an empty INBOX. With a TLS configuration it offers STARTTLS;
// a login is taken with and without it.
func New(user, password string, config *tls.Config) (*Server, error) {
	s := &Server{user: imapmemserver.NewUser(user, password)}
	if err := s.CreateFolder("INBOX"); err != nil {
		return nil, err
	}
	store := imapmemserver.New()
	store.AddUser(s.user)
	s.imap = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return session{store.NewSession().(imapserver.SessionIMAP4rev2)}, nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
		TLSConfig:    config,
		InsecureAuth: true,
		// It logs every connection that ends without a LOGOUT.
		Logger: log.New(io.Discard, "", 0),
	})
	return s, nil
}

// Serve serves on the listeners until ctx ends, and then ends every connection. It is called once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	var serving sync.WaitGroup
	failures := make([]error, len(listeners))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i, l := range listeners {
		serving.Go(func() {
			defer stop()
			failures[i] = s.imap.Serve(l)
		})
	}
	<-ctx.Done()
	// Server.Close may not meet a Serve that is only beginning, so the listeners end it first.
	for _, l := range listeners {
		l.Close()
	}
	serving.Wait()
	return errors.Join(errors.Join(failures...), s.imap.Close())
}

// CreateFolder makes an empty folder.
func (s *Server) CreateFolder(folder string) error {
	if err := s.user.Create(folder, nil); err != nil {
		return fmt.Errorf("make the folder %s: %w", folder, err)
	}
	return nil
}

// Append puts a message with these flags into a folder and returns its UID; sessions that idle
// there hear of it within 10 ms.
func (s *Server) Append(folder string, message []byte, flags ...imap.Flag) (imap.UID, error) {
	data, err := s.user.Append(folder, literal{bytes.NewReader(message)}, &imap.AppendOptions{Flags: flags, Time: time.Now()})
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", folder, err)
	}
	return data.UID, nil
}

// session is imapmemserver's, with another IDLE: imapserver v2.0.0-beta.8 answers "+ idling" before
// it listens for changes, and reports a change in between only with the next one (tracker.go,
// SessionTracker.Idle).
type session struct{ imapserver.SessionIMAP4rev2 }

// Idle tells what changed, at most 10 ms late, until stop is closed.
func (s session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
			if err := s.Poll(w, true); err != nil {
				return err
			}
		}
	}
}

// literal is a message as imapserver wants it: with its size known beforehand.
type literal struct{ *bytes.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

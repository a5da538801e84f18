package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"idlepush/push"
	"idlepush/registry"
	"idlepush/watcher"
)

// tlsSessions is how many TLS sessions with mail servers are kept for resumption, which also halves a connection's memory.
const tlsSessions = 4096

// serve runs the daemon until ctx ends or a part of it fails, and then ends it cleanly: sends in flight may finish, what
// is not delivered stays queued. listening, if not nil, is told the address once requests are taken.
func serve(ctx context.Context, s settings, log *slog.Logger, listening func(net.Addr)) error {
	store, err := registry.Open(s.data, registry.Options{Key: s.key})
	if err != nil {
		return err
	}
	defer store.Close()
	transports, err := s.transports(store)
	if err != nil {
		return err
	}
	dispatcher := &push.Dispatcher{Store: store.Outbox, Transports: transports, URL: func() string { return s.home(store) }, BurstLimit: s.burstLimit, Log: log}
	pool := &watcher.Pool{Store: store.Mail, Log: log, Dialer: watcher.Dialer{
		Permit:  s.allowNets.Permit,
		TLS:     &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions), MinVersion: tls.VersionTLS12},
		Version: version(),
	}}
	group, ctx := errgroup.WithContext(ctx)
	handler, err := s.handler(ctx, store, dispatcher, pool, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("setting listen: %w", err)
	}
	if err := welcome(store, s, listener.Addr(), log); err != nil {
		listener.Close()
		return err
	}
	group.Go(func() error { dispatcher.Run(ctx); return nil })
	group.Go(func() error { return pool.Run(ctx) })
	group.Go(func() error { return purge(ctx, store, log) })
	group.Go(func() error { return serveHTTP(ctx, listener, handler, log) })
	if listening != nil {
		listening(listener.Addr())
	}
	err = group.Wait()
	log.Info("stopped")
	return err
}

// welcome says where to go, and how to begin where nobody has.
func welcome(store *registry.Store, s settings, addr net.Addr, log *slog.Logger) error {
	token, err := store.Users.SetupToken()
	if err != nil {
		return err
	}
	data, err := filepath.Abs(s.data)
	if err != nil {
		return err
	}
	log.Info("idlepush serves", "version", version(), "address", addr.String(), "data", data)
	if s.public(store) == "" {
		remedy := "set it to the https origin by which phones reach this server"
		if token != "" {
			remedy += ", or do setup there"
		}
		log.Info("public-url is not set: an invite leads to the address in its maker's browser, and a click on a notification opens the page in a browser, " +
			"but nothing in an app; " + remedy)
	}
	for _, service := range services {
		if service.Missing == nil {
			continue
		}
		if missing := service.Missing(s.push, s.server(store)); missing != "" {
			log.Info(missing)
		}
	}
	if token != "" {
		log.Info("nobody is set up yet: open this link, once; its token is also in the file setup-token of the data folder", "link", s.page(store, addr)+"#/setup/"+token)
	}
	return nil
}

// page is where a person on this machine finds the page.
func (s settings) page(store *registry.Store, addr net.Addr) string {
	if home := s.home(store); home != "" {
		return home
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || at.Addr().IsUnspecified() || at.Addr().IsLoopback() {
		_, port, _ := net.SplitHostPort(addr.String())
		return "http://localhost:" + port + "/"
	}
	return "http://" + addr.String() + "/"
}

// server returns what transports need, without the key.
func (s settings) server(store *registry.Store) push.Server {
	return push.Server{Origin: func() string { return s.public(store) }, Permit: s.allowNets.Permit}
}

// transports makes all that there are.
func (s settings) transports(store *registry.Store) (all push.Transports, err error) {
	server := s.server(store)
	if server.Key, err = store.Outbox.VAPIDKey(); err != nil {
		return nil, err
	}
	for _, service := range services {
		made, err := service.New(s.push, server)
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
	}
	return all, nil
}

// public is the origin by which phones reach this server; empty: not known.
func (s settings) public(store *registry.Store) string {
	if s.publicURL != "" {
		return s.publicURL
	}
	u, err := store.Users.PublicURL()
	if err != nil {
		return ""
	}
	return u
}

func (s settings) home(store *registry.Store) string {
	if u := s.public(store); u != "" {
		return u + "/"
	}
	return ""
}

// purge removes old activity at start and every hour.
func purge(ctx context.Context, store *registry.Store, log *slog.Logger) error {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if err := store.Purge(ctx, time.Now()); err != nil {
			log.Error("old activity cannot be removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// serveHTTP serves until ctx ends, then lets running requests finish for at most 8 s: the whole program is to end within 10.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	var group errgroup.Group
	served := make(chan struct{})
	group.Go(func() error {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	select {
	case <-ctx.Done():
	case <-served:
	}
	ending, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		server.Close()
	}
	return group.Wait()
}

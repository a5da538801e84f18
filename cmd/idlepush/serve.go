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
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"idlepush/cmd/idlepush/metrics"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/watcher"
)

// tlsSessions is how many TLS sessions with mail servers are kept for resumption, which also halves
// the memory of a connection.
const tlsSessions = 4096

// serve runs the daemon until ctx ends or a part of it fails, and then ends it cleanly: sends in
// flight may finish, and undelivered notifications stay queued. If listening is not nil, serve
// calls it with the address once requests are accepted.
func serve(ctx context.Context, s settings, log *slog.Logger, listening func(net.Addr)) error {
	figures := metrics.New(version())
	store, err := registry.Open(s.data, registry.Options{Key: s.key, Committed: figures.Committed, Received: figures.Received})
	if err != nil {
		return err
	}
	defer store.Close()
	c, err := s.core(store, surroundings{}, log)
	if err != nil {
		return err
	}
	c.dispatcher.Sent, c.pool.Ended = figures.Sent, figures.Ended
	c.house.room = func() (uint64, bool) { return diskRoom(s.data) }
	figures.Collect(store, c.pool, metrics.Machine{Room: c.house.room, Looked: c.house.loops.age, Broken: c.house.broken})
	group, ctx := errgroup.WithContext(ctx)
	forPrometheus := figures.Handler(log)
	api, err := s.handler(ctx, c, forPrometheus)
	if err != nil {
		return err
	}
	own := new(identity)
	handler := own.wrap(api)
	listener, forMetrics, err := s.listenAll()
	if err != nil {
		return err
	}
	if err := logStart(store, s, listener.Addr(), log); err != nil {
		closeAll(listener, forMetrics)
		return err
	}
	if forMetrics != nil {
		log.Info("metrics need no token at an address of their own", "address", forMetrics.Addr().String())
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", forPrometheus)
		group.Go(func() error { return serveHTTP(ctx, forMetrics, mux, log) })
	}
	if commands, err := listenSocket(s.data); err != nil {
		log.Warn("commands such as password-link cannot reach idlepush while it runs: stop it to run one", "err", err)
	} else {
		mux := http.NewServeMux()
		s.servePasswordLink(mux, store, log)
		s.serveSetupLink(mux, store, listener.Addr(), log)
		serveBackup(mux, store, log)
		serveExport(ctx, mux, store)
		serveDoctor(ctx, mux, installation{settings: s, store: store, transports: c.transports, identity: own, noticed: api.Noticed, getenv: os.Getenv, outside: internet()},
			thisProcess{s, store, c.pool, s.finder(c.clients)})
		group.Go(func() error { return serveHTTP(ctx, commands, mux, log) })
	}
	c.run(ctx, group)
	group.Go(func() error { api.Run(ctx); return nil })
	group.Go(func() error { return purge(ctx, store, log) })
	group.Go(func() error { s.backUpDaily(ctx, store, log); return nil })
	if s.monitoring.alive != "" {
		group.Go(func() error { s.deadMan(c).run(ctx); return nil })
	}
	group.Go(func() error { return serveHTTP(ctx, listener, handler, log) })
	group.Go(func() error { feedWatchdog(ctx, c.house.loops, log); return nil })
	if listening != nil {
		listening(listener.Addr())
	}
	tellSystemd(daemon.SdNotifyReady, log)
	context.AfterFunc(ctx, func() { tellSystemd(daemon.SdNotifyStopping, log) })
	err = group.Wait()
	log.Info("stopped")
	return err
}

// listenAll opens the listener of the API, and that of the metrics if they have an address of their
// own; otherwise forMetrics is nil.
func (s settings) listenAll() (api, forMetrics net.Listener, err error) {
	if api, err = listenAt("listen", s.listen); err == nil && s.monitoring.listen != "" {
		forMetrics, err = listenAt("metrics-listen", s.monitoring.listen)
	}
	if err != nil {
		closeAll(api)
		return nil, nil, err
	}
	return api, forMetrics, nil
}

// listenAt listens at the address that a setting has.
func listenAt(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another program has that port, or another idlepush: set a free one, such as --%s 127.0.0.1:8081", err, setting)
	}
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", setting, err)
	}
	return l, nil
}

// closeAll closes the listeners that are not nil.
func closeAll(list ...net.Listener) {
	for _, l := range list {
		if l != nil {
			l.Close()
		}
	}
}

// logStart logs the address, the settings that are missing, and how to create the first admin.
func logStart(store *registry.Store, s settings, addr net.Addr, log *slog.Logger) error {
	token, err := store.Users.SetupToken()
	if err != nil {
		return err
	}
	data, err := filepath.Abs(s.data)
	if err != nil {
		return err
	}
	if err := store.Ready(); err != nil {
		log.Error("nothing can be written, so nothing rings until it can: make room on the disk of the data folder", "err", err)
	}
	log.Info("idlepush is running", "version", version(), "address", addr.String(), "data", data)
	for _, w := range store.Warnings() {
		log.Warn("the data folder needs an admin", "code", w.Code, "reason", allCodes().Sentence(w.Code, w.Params))
	}
	if s.public(store) == "" {
		remedy := "set it to the https origin at which phones reach this server"
		if token != "" {
			remedy += ", or run setup at that origin"
		}
		log.Info("public-url is not set: an invite link uses the address that its creator's browser shows, " +
			"and a click on a notification opens the page in a browser but nothing in an app; " + remedy)
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
		log.Info("no admin exists yet: open this link to create one; its token is also in the file setup-token of the data folder",
			"link", s.pageURL(store, addr)+"#/setup/"+token)
	}
	return nil
}

// pageURL returns the address of the page: that of the public URL, or else one that works on this
// machine.
func (s settings) pageURL(store *registry.Store, addr net.Addr) string {
	if page := s.publicPage(store); page != "" {
		return page
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || at.Addr().IsUnspecified() {
		_, port, _ := net.SplitHostPort(addr.String())
		return "http://localhost:" + port + "/"
	}
	return "http://" + addr.String() + "/"
}

// pool returns the pool of the accounts in the store, and the clients by which it gets tokens.
func (s settings) pool(store *registry.Store, log *slog.Logger) (*watcher.Pool, *oauthClients) {
	clients, dialer := newOAuthClients(s, store.Accounts), s.dialer()
	dialer.Client = clients.client
	return &watcher.Pool{Store: store.Mail, Log: log, Dialer: dialer}, clients
}

// dialer returns what connects to mail servers.
func (s settings) dialer() watcher.Dialer {
	return watcher.Dialer{
		Permit:  s.allowMail.Permit,
		TLS:     &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions), MinVersion: tls.VersionTLS12},
		Version: version(),
	}
}

// server returns what transports need of the server, without the VAPID key.
func (s settings) server(store *registry.Store) push.Server {
	return push.Server{Origin: func() string { return s.public(store) }, Permit: s.allowPush.Permit}
}

// transports creates the transports of all services. dial takes the place of the network, unless it
// is nil.
func (s settings) transports(store *registry.Store, dial netguard.DialFunc) (all push.Transports, err error) {
	server := s.server(store)
	server.Dial = dial
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

// public returns the origin at which phones reach this server, or "" if it is unknown.
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

// publicPage returns the address of the page at the public origin, or "".
func (s settings) publicPage(store *registry.Store) string {
	if u := s.public(store); u != "" {
		return u + "/"
	}
	return ""
}

// purge deletes old activity at start and every hour.
func purge(ctx context.Context, store *registry.Store, log *slog.Logger) error {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if err := store.Purge(ctx, time.Now()); err != nil {
			log.Error("delete old activity", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// serveHTTP serves until ctx ends, and then waits up to 8 s for running requests. The whole program
// must end within 10 s.
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

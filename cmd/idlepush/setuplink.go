package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"idlepush/registry"
)

// serveSetupLink serves what the command setup-link asks of the daemon, whose page is at the
// address.
func (s settings) serveSetupLink(mux *http.ServeMux, store *registry.Store, addr net.Addr, log *slog.Logger) {
	mux.HandleFunc("POST /setup-link", answerCommand(func(struct{}) (link string, err error) {
		token, err := store.Users.SetupToken()
		if err == nil && token == "" {
			err = errors.New("somebody is set up already: log in on the page, or run `idlepush password-link NAME` if the password is forgotten")
		}
		if err != nil {
			return "", err
		}
		log.Info("a link to set up the first admin was made on the server")
		return s.pageURL(store, addr) + "#/setup/" + token, nil
	}))
}

// runSetupLink prints a link by which the first admin is set up.
func runSetupLink(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	s, _, err := syntax{command: "idlepush setup-link", settings: some("data")}.parse(args, getenv, stdout)
	if err != nil {
		return usageError{err}
	}
	var link string
	err = askDaemon(ctx, s.data, "/setup-link", struct{}{}, &link)
	if errors.Is(err, errNoDaemon) {
		return fmt.Errorf("no idlepush runs with the data folder %s: start it, or name its folder with --data, and run this again", s.data)
	}
	if err != nil {
		return err
	}
	code := ""
	if isTerminal(stdout) {
		code = terminalQR(link)
	}
	_, err = fmt.Fprintf(stdout, "By this link the first admin is set up, once. Earlier links have ended:\n\n  %s\n\n%s", link, code)
	return err
}

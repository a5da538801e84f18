package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"

	"idlepush/registry"
)

// servePasswordLink serves what the command password-link asks of the daemon.
func (s settings) servePasswordLink(mux *http.ServeMux, store *registry.Store, log *slog.Logger) {
	mux.HandleFunc("POST /password-link", answerCommand(func(name string) (passwordLink, error) {
		link, err := s.passwordLink(store, name)
		if err == nil {
			log.Info("a link for a new password was made on the server", "user", link.User)
		}
		return link, err
	}))
}

// passwordLink is a link by which a person chooses a new password.
type passwordLink struct {
	User    string // id
	Link    string // without its origin if that is not known
	Expires time.Time
}

// passwordLink makes a link for the person of that name.
func (s settings) passwordLink(store *registry.Store, name string) (passwordLink, error) {
	i, code, err := store.Logins.AddPasswordLinkOnServer(name, time.Now())
	if errors.Is(err, registry.ErrNotFound) {
		return passwordLink{}, errNoPerson(name)
	}
	return passwordLink{i.Person, s.public(store) + "/#/password/" + code, i.Expires}, err
}

// errNoPerson reports that nobody has that name.
func errNoPerson(name string) error {
	return fmt.Errorf("there is no person %q: use the name with which the person logs in", name)
}

// runPasswordLink prints a link by which the person whom the arguments name chooses a new password.
// It asks the daemon for it. If none runs, it opens the store itself.
func runPasswordLink(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	s, name, err := syntax{command: "idlepush password-link", settings: some("data", "key", "public-url"), operand: "NAME"}.parseOne(oneName, args, getenv, stdout)
	if err != nil {
		return err
	}
	running := true
	var link passwordLink
	err = askDaemon(ctx, s.data, "/password-link", name, &link)
	if errors.Is(err, errNoDaemon) {
		running = false
		link, err = s.passwordLinkInStore(name)
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(link.Link, "/") { // the daemon may not know it
		link.Link = s.publicURL + link.Link
	}
	_, err = io.WriteString(stdout, link.text(name, running, isTerminal(stdout)))
	return err
}

// passwordLinkInStore is passwordLink while no daemon runs.
func (s settings) passwordLinkInStore(name string) (passwordLink, error) {
	store, err := openStopped(s)
	if err != nil {
		return passwordLink{}, err
	}
	link, err := s.passwordLink(store, name)
	return link, errors.Join(err, store.Close())
}

// text returns the output of the command for the person of that name.
func (l passwordLink) text(name string, running, terminal bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "By this link %s can choose a new password, once, until %s:\n\n  %s\n\n", name, l.Expires.Local().Format("2 January 15:04"), l.Link)
	if strings.HasPrefix(l.Link, "/") {
		b.WriteString("Put the address of the page before it, such as https://push.example.org: that is not known, because public-url is not set.\n")
	} else if code := terminalQR(l.Link); terminal && code != "" {
		b.WriteString(code + "\n")
	}
	when := ""
	if !running {
		when = ", when idlepush is started"
	}
	fmt.Fprintf(&b, "Whoever has the link can log in as %s. %s's devices are told that it was made%s.\n", name, name, when)
	return b.String()
}

// quietZone is the width of the light margin that a QR code needs, in modules (ISO 18004).
const quietZone = 4

// terminalQR returns the text as a QR code for a terminal, or "" if the text is too long. It is
// black on white, whatever the terminal's colours are. A character shows two modules, one above the
// other.
func terminalQR(text string) string {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return ""
	}
	size := code.Bounds().Dx()
	dark := func(x, y int) bool {
		if min(x, y) < 0 || max(x, y) >= size {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var b strings.Builder
	for y := -quietZone; y < size+quietZone; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quietZone; x < size+quietZone; x++ {
			switch upper, lower := dark(x, y), dark(x, y+1); {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}

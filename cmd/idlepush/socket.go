package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// socketFile is the Unix socket in the data folder by which commands reach the daemon that has the
// store. Whoever may open it may do what the commands do: its mode is 0600.
const socketFile = "idlepush.sock"

// maxSocketPath is the longest path that a Unix socket can have on every system: Linux has room for
// 108 bytes (unix(7)), macOS for 104, both with a zero byte at the end.
const maxSocketPath = 103

// answerWait is how long a command waits for the daemon, or for the first of several values. An
// export waits so long for each.
const answerWait = 30 * time.Second

// errNoDaemon reports that no daemon listens on the socket.
var errNoDaemon = errors.New("no daemon listens")

// errorTrailer is the trailer with the error that ended an answer of several values.
const errorTrailer = "Idlepush-Error"

// socket is a listener that removes its file when it is closed.
type socket struct {
	net.Listener
	path string
}

func (s socket) Close() error {
	return errors.Join(os.Remove(s.path), s.Listener.Close())
}

// listenSocket listens on the socket of the data folder, and replaces one that a crash has left.
// Only the daemon that has the store may call it. The socket is made in a folder that nobody else
// can open, so that nobody else can connect before it has its mode.
func listenSocket(dir string) (net.Listener, error) {
	closed := filepath.Join(dir, socketFile+".new")
	if err := os.RemoveAll(closed); err != nil {
		return nil, err
	}
	if err := os.Mkdir(closed, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(closed)
	name := filepath.Join(socketFile+".new", "s")
	at, done, err := socketPath(dir, name)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.Listen("unix", at)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by then it has another path
	s := socket{l, filepath.Join(dir, socketFile)}
	err = os.Chmod(filepath.Join(dir, name), 0o600)
	if err == nil {
		err = os.Rename(filepath.Join(dir, name), s.path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// socketPath returns a path of the file in the folder that is short enough for a socket. It is good
// until done is called.
func socketPath(dir, name string) (path string, done func(), err error) {
	if path := filepath.Join(dir, name); len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	open := fmt.Sprintf("/proc/self/fd/%d", f.Fd()) // Linux only
	if _, err := os.Stat(open); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("the path of the data folder is too long for a socket, which may have %d bytes with %s", maxSocketPath, name)
	}
	return open + "/" + name, func() { f.Close() }, nil
}

// askDaemon sends a request to the daemon that has the data folder, and decodes its answer into
// out. It returns errNoDaemon if no daemon listens there.
func askDaemon(ctx context.Context, dir, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return callDaemon(ctx, dir, path, in, func(answer io.Reader) error { return json.NewDecoder(answer).Decode(out) })
}

// hearDaemon is askDaemon for an answer of several values. It hands each of them to hear when it
// comes, and returns after the last.
func hearDaemon[O any](ctx context.Context, dir, path string, in any, hear func(O)) error {
	return callDaemon(ctx, dir, path, in, func(answer io.Reader) error {
		for values := json.NewDecoder(answer); ; {
			var out O
			switch err := values.Decode(&out); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return fmt.Errorf("idlepush has ended its answer: %w", err)
			}
			hear(out)
		}
	})
}

// callDaemon sends a request, and has read take the answer.
func callDaemon(ctx context.Context, dir, path string, in any, read func(answer io.Reader) error) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	at, done, err := socketPath(dir, socketFile)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoDaemon
	}
	if err != nil {
		return err
	}
	defer done()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", at)
	}
	transport := &http.Transport{DialContext: dial, ResponseHeaderTimeout: answerWait}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://idlepush"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	switch file := filepath.Join(dir, socketFile); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errNoDaemon
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("idlepush cannot be reached by %s (%w): run this as the user who runs idlepush, or as root", file, fs.ErrPermission)
	case err != nil:
		return fmt.Errorf("idlepush does not answer on %s: %w", file, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		refusal, err := io.ReadAll(resp.Body)
		return errors.Join(err, errors.New(string(bytes.TrimSpace(refusal))))
	}
	if err := read(resp.Body); err != nil {
		return err
	}
	if said := resp.Trailer.Get(errorTrailer); said != "" {
		return errors.New(said)
	}
	return nil
}

// unlessSilent calls do, and ends it if it does not call heard for so long.
func unlessSilent(ctx context.Context, silence time.Duration, do func(ctx context.Context, heard func()) error) error {
	errSilent := fmt.Errorf("idlepush has sent nothing for %v: most likely its disk does not respond; see its log", silence)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer timer.Stop()
	err := do(ctx, func() { timer.Reset(silence) })
	if err != nil && context.Cause(ctx) == errSilent {
		return errSilent
	}
	return err
}

// answerCommand answers a command with what do returns, or with its error as text.
func answerCommand[I, O any](do func(I) (O, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in I
		err := json.NewDecoder(r.Body).Decode(&in)
		var out O
		if err == nil {
			out, err = do(in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		json.NewEncoder(w).Encode(out)
	}
}

// tellCommand answers a command with each value that do tells, when it does, for as long as that
// takes. It ends with ctx.
func tellCommand[I, O any](ctx context.Context, do func(ctx context.Context, in I, tell func(O)) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		conn := http.NewResponseController(w)
		var in I
		err := errors.Join(json.NewDecoder(r.Body).Decode(&in), conn.SetReadDeadline(time.Time{}), conn.SetWriteDeadline(time.Time{}))
		told := false
		if err == nil {
			answer := json.NewEncoder(w)
			err = do(asked, in, func(out O) {
				told = true
				answer.Encode(out)
				conn.Flush()
			})
			if err != nil && ctx.Err() != nil {
				err = errors.New("idlepush was stopped before its answer was complete: try again")
			}
		}
		switch {
		case err != nil && told:
			w.Header().Set(http.TrailerPrefix+errorTrailer, err.Error())
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	}
}

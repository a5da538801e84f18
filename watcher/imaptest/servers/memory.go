package servers

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imapmem"
)

// MemoryServer is an imapmem server that belongs to one test.
type MemoryServer struct {
	Endpoint

	server *imapmem.Server
}

// Memory starts a server with an empty INBOX. It ends with the test.
func Memory(t testing.TB) *MemoryServer {
	t.Helper()
	authority := newAuthority(t, t.TempDir())
	m := &MemoryServer{Endpoint: Endpoint{
		Host: "127.0.0.1", CAFile: authority.file, Roots: authority.roots, User: "alice", Password: "wonderland",
	}}
	config := &tls.Config{Certificates: []tls.Certificate{authority.certificate}}
	var err error
	if m.server, err = imapmem.New(m.User, m.Password, config); err != nil {
		t.Fatal(err)
	}
	plain, encrypted := listen(t), listen(t)
	m.Port, m.TLSPort = plain.Addr().(*net.TCPAddr).Port, encrypted.Addr().(*net.TCPAddr).Port
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := m.server.Serve(ctx, plain, tls.NewListener(encrypted, config)); err != nil {
			t.Errorf("serve IMAP: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return m
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// CreateFolder makes an empty folder.
func (m *MemoryServer) CreateFolder(t testing.TB, folder string) {
	t.Helper()
	if err := m.server.CreateFolder(folder); err != nil {
		t.Fatal(err)
	}
}

// Append puts a message with these flags into a folder and returns its UID; sessions that idle
// there hear of it within 10 ms.
func (m *MemoryServer) Append(t testing.TB, folder string, message []byte, flags ...imap.Flag) imap.UID {
	t.Helper()
	uid, err := m.server.Append(folder, message, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

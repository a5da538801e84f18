package main

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"idlepush/push/pushtest"
)

// memoryNetwork is a network in memory, for use in a synctest bubble. Its zero value has no
// servers.
type memoryNetwork struct {
	mu      sync.Mutex
	servers []*memoryServer
}

// memoryServer is the listener of a server, to which the way can be cut.
type memoryServer struct {
	*link
	pipes *pushtest.Pipes
	at    *net.TCPAddr
	way   atomic.Int32
}

// The state of the way to a server.
const (
	wayOpen   = iota
	wayClosed // connections are refused
	wayLost   // nothing passes, and nobody says so
)

// listen adds a server.
func (n *memoryNetwork) listen() (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pipes := pushtest.NewPipes()
	s := &memoryServer{link: &link{Listener: pipes}, pipes: pipes, at: &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(len(n.servers)+1)), Port: 8080}}
	n.servers = append(n.servers, s)
	return s, nil
}

// at returns the server with the address.
func (n *memoryNetwork) at(address string) *memoryServer {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.servers {
		if s.at.String() == address {
			return s
		}
	}
	return nil
}

// lost is how long a system tries to reach an address from which nothing comes.
const lost = 2 * time.Minute

func (n *memoryNetwork) dial(ctx context.Context, network, address string) (net.Conn, error) {
	failed := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
	s := n.at(address)
	if s == nil {
		return failed(syscall.EHOSTUNREACH)
	}
	switch s.way.Load() {
	case wayClosed:
		return failed(syscall.ECONNREFUSED)
	case wayLost:
		select {
		case <-ctx.Done():
			return failed(context.Cause(ctx))
		case <-time.After(lost):
			return failed(os.NewSyscallError("connect", syscall.ETIMEDOUT))
		}
	}
	return s.pipes.DialContext(ctx, network, address)
}

// cut makes a way what it is from now on, and lets its connections end as they then do.
func (s *memoryServer) cut(way int32) {
	s.way.Store(way)
	switch way {
	case wayClosed:
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.conns {
			c.Close()
		}
	case wayLost:
		s.silence()
	}
}

// cut does so to the ways to all servers.
func (n *memoryNetwork) cut(way int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.servers {
		s.cut(way)
	}
}

// Addr implements net.Listener.
func (s *memoryServer) Addr() net.Addr { return s.at }

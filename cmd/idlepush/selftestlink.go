package main

import (
	"net"
	"sync"
	"sync/atomic"
)

// link is the listener of a mail server, whose connections can fall silent.
type link struct {
	net.Listener

	mu    sync.Mutex
	conns []*linkedConn
}

// Accept implements net.Listener.
func (l *link) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	linked := &linkedConn{Conn: conn}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, linked)
	return linked, nil
}

// silence lets the connections that are open pass nothing more. Nobody closes them, and what
// idlepush sends is acknowledged.
func (l *link) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.silent.Store(true)
	}
}

// close closes the listener and all connections.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Listener.Close()
	for _, c := range l.conns {
		c.Close()
	}
}

// linkedConn is the mail server's end of a connection.
type linkedConn struct {
	net.Conn
	silent atomic.Bool
}

// Read implements io.Reader.
func (c *linkedConn) Read(p []byte) (n int, err error) {
	for n, err = c.Conn.Read(p); err == nil && c.silent.Load(); n, err = c.Conn.Read(p) {
	}
	return n, err
}

// Write implements io.Writer.
func (c *linkedConn) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

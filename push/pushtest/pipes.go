package pushtest

import (
	"context"
	"net"
	"sync"
)

// Pipes is a network in memory: a listener, and a function that dials it. A goroutine that waits
// for one of its connections is durably blocked in the sense of testing/synctest.
type Pipes struct {
	arriving chan net.Conn
	closed   chan struct{}
	close    sync.Once
}

// NewPipes makes a network in which every address leads to one listener.
func NewPipes() *Pipes {
	return &Pipes{arriving: make(chan net.Conn), closed: make(chan struct{})}
}

// DialContext is for http.Transport. It blocks until the connection is accepted, Close was called
// or ctx ends.
func (p *Pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.arriving <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.arriving:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Open connections stay open.
func (p *Pipes) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *Pipes) Addr() net.Addr { return pipesAddr{} }

type pipesAddr struct{}

func (pipesAddr) Network() string { return "pipe" }
func (pipesAddr) String() string  { return "pipe" }

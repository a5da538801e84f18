package pushtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Serve serves a stand-in on ln until ctx ends. Then it closes every connection and returns nil
// once the server has stopped. It speaks HTTP/1.1 and, as the APNs stand-in demands, HTTP/2 without
// TLS (RFC 9113 section 3.3).
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: h, Protocols: protocols}
	var (
		failure error
		wg      sync.WaitGroup
	)
	stopped, stop := context.WithCancel(ctx)
	wg.Go(func() {
		defer stop()
		failure = server.Serve(ln)
	})
	<-stopped.Done()
	err := server.Close()
	wg.Wait()
	if errors.Is(failure, http.ErrServerClosed) {
		return err
	}
	return failure
}

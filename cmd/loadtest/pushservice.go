//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pushService is all push services in one, over HTTP/2 with TLS. It accepts every message without
// looking at it.
type pushService struct {
	address  string         // host and port
	arrivals chan time.Time // with the monotonic clock
	serving  sync.WaitGroup
}

// maxArrivals is how many messages may have come that nobody has asked for yet.
const maxArrivals = 1 << 17

// servePush serves until ctx ends.
func servePush(ctx context.Context, config *tls.Config) (*pushService, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &pushService{address: l.Addr().String(), arrivals: make(chan time.Time, maxArrivals)}
	server := &http.Server{Handler: p, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	p.serving.Go(func() {
		if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("the push service ended: %v", err)
		}
	})
	p.serving.Go(func() {
		<-ctx.Done()
		server.Close()
	})
	return p, nil
}

// fcmProject is the project at FCM.
const fcmProject = "loadtest"

// The paths at which it is FCM, APNs and Web Push, and where FCM's access tokens are.
const (
	tokenPath = "/token"
	fcmPath   = "/v1/projects/" + fcmProject + "/messages:send"
	apnsPath  = "/3/device/"
	webPath   = "/web/"
)

func (p *pushService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	now := time.Now()
	switch path := r.URL.Path; {
	case path == tokenPath:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"loadtest","token_type":"Bearer","expires_in":3600}`)
		return
	case path == fcmPath:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"name":"projects/loadtest/messages/1"}`)
	case strings.HasPrefix(path, apnsPath):
		w.Header().Set("Apns-Id", "eabeae54-14a8-11e5-b60b-1697f925ec7b")
	case strings.HasPrefix(path, webPath):
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	p.arrivals <- now
}

// await waits until that many messages have come, and returns when they did, in order.
func (p *pushService) await(ctx context.Context, messages int) (came []time.Time, err error) {
	for len(came) < messages {
		select {
		case at := <-p.arrivals:
			came = append(came, at)
		case <-ctx.Done():
			return came, fmt.Errorf("%d of %d pushes came: %w", len(came), messages, ctx.Err())
		}
	}
	return came, nil
}

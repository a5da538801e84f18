//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// authority signs certificates for addresses. It may be used from several goroutines.
type authority struct {
	file string // with its certificate in PEM
	key  *ecdsa.PrivateKey
	root *x509.Certificate

	mu   sync.Mutex
	made map[netip.Addr]*tls.Certificate
}

// newAuthority makes an authority and writes its certificate to file.
func newAuthority(file string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "loadtest"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{file: file, key: key, root: root, made: make(map[netip.Addr]*tls.Certificate)},
		os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// certificate returns the certificate of an address.
func (a *authority) certificate(of netip.Addr) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if made := a.made[of]; made != nil {
		return made, nil
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(a.made) + 2)), NotBefore: a.root.NotBefore, NotAfter: a.root.NotAfter,
		IPAddresses: []net.IP{of.AsSlice()}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	a.made[of] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	return a.made[of], nil
}

// config returns the configuration of a server that has a certificate for each of its addresses.
// Clients can resume.
func (a *authority) config() *tls.Config {
	return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		at, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		return a.certificate(at.Addr().Unmap())
	}}
}

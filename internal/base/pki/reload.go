package pki

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// checkEvery is how often a handshake looks whether the files have changed.
const checkEvery = 5 * time.Second

// Reloading reads a certificate and its key, and returns a source of
// certificates for tls.Config.GetCertificate that reads them again when the
// files change. While the files do not fit each other, as in the middle of
// being replaced, the last good pair is used.
func Reloading(certFile, keyFile string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	r := &reloader{certFile: certFile, keyFile: keyFile}
	if err := r.load(time.Now()); err != nil {
		return nil, err
	}
	return r.get, nil
}

type reloader struct {
	certFile, keyFile string

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   stamp
	checked time.Time
}

// stamp tells versions of the two files apart.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

func (r *reloader) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.checked) >= checkEvery {
		// A failure keeps the old pair: a server goes on with what it has.
		_ = r.load(now)
	}
	return r.pair, nil
}

func (r *reloader) load(now time.Time) error {
	r.checked = now
	cert, err := os.Stat(r.certFile)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	key, err := os.Stat(r.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate's key: %w", err)
	}
	s := stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}
	if r.pair != nil && s == r.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(r.certFile, r.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate %s and key %s: %w", r.certFile, r.keyFile, err)
	}
	r.pair, r.stamp = &pair, s
	return nil
}

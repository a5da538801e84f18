// Package backup writes the store of a server to one file, and makes a store of such a file again.
//
// A backup is a tar file, so that it can be read without idlepush, too:
//
//	about.json    when it was made, and by which version
//	idlepush.db   the store, as it was at one moment
//	key.age       only if asked for: the file key, encrypted with a passphrase by age
//	SHA256SUMS    of the files before it; it is the last, so a backup that lacks it was cut short
//
// It is a package of its own because it knows the format of backups and archive/tar, of which
// package registry knows nothing, and because it works with stores that are closed.
package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"idlepush/registry"
	"idlepush/registry/table"
)

// The files of a backup. The first two have the names that they have in the data folder.
const (
	storeFile = "idlepush.db"
	keyFile   = "key"
	aboutFile = "about.json"
	agedFile  = "key.age"
	sumsFile  = "SHA256SUMS"
)

// format is that of the backups that this package writes, and the newest that it reads.
const format = 1

// maxSmall bounds each file of a backup but the store, in bytes.
const maxSmall = 64 << 10

// workFactor is the logarithm of what a guess at a passphrase costs, as age has it. Tests have
// less.
var workFactor = 18

// About describes the origin of a backup.
type About struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Program string    `json:"program"` // the version that made it
	HasKey  bool      `json:"has_key"`
}

// Write writes a backup of an open store, made by this version of the program. If there is a
// passphrase, the backup has the key of the store, encrypted with that.
func Write(to io.Writer, s *registry.Store, program, passphrase string, now time.Time) error {
	aged, err := encrypt(s.Key(), passphrase)
	if err != nil {
		return err
	}
	return s.Snapshot(func(of table.Snapshot) error { return source{of, program, aged}.write(to, now) })
}

// source is what a backup is made of.
type source struct {
	store   table.Snapshot
	program string
	aged    []byte // the encrypted key; nil: the backup is to be without
}

func (s source) write(to io.Writer, now time.Time) error {
	about, err := json.Marshal(About{format, now.UTC().Truncate(time.Second), s.program, s.aged != nil})
	if err != nil {
		return err
	}
	w := newWriter(to, now)
	err = w.add(aboutFile, int64(len(about)), bytes.NewReader(about))
	if err == nil {
		err = w.add(storeFile, s.store.Size(), s.store)
	}
	if err == nil && s.aged != nil {
		err = w.add(agedFile, int64(len(s.aged)), bytes.NewReader(s.aged))
	}
	if err == nil {
		err = w.end()
	}
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// writer writes files one after the other, and their sums as sha256sum does.
type writer struct {
	*tar.Writer
	now  time.Time
	sums bytes.Buffer
}

func newWriter(to io.Writer, now time.Time) *writer {
	return &writer{Writer: tar.NewWriter(to), now: now}
}

// end writes the sums.
func (w *writer) end() error {
	if err := w.add(sumsFile, int64(w.sums.Len()), bytes.NewReader(w.sums.Bytes())); err != nil {
		return err
	}
	return w.Close()
}

func (w *writer) add(name string, size int64, content io.WriterTo) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: w.now.Truncate(time.Second), Format: tar.FormatPAX}); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := content.WriteTo(io.MultiWriter(w.Writer, sum)); err != nil {
		return err
	}
	w.sums.WriteString(sumLine(sum, name))
	return nil
}

func sumLine(sum hash.Hash, name string) string {
	return hex.EncodeToString(sum.Sum(nil)) + "  " + name + "\n"
}

// encodeKey returns the content of the file key.
func encodeKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) + "\n" }

// encrypt returns the content of the file key, encrypted with the passphrase, or nil if that is
// empty.
func encrypt(key []byte, passphrase string) ([]byte, error) {
	if passphrase == "" {
		return nil, nil
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, recipient)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, encodeKey(key))
	if err = errors.Join(err, w.Close(), armored.Close()); err != nil {
		return nil, fmt.Errorf("encrypt the key: %w", err)
	}
	return out.Bytes(), nil
}

// ErrPassphrase reports that a passphrase is not the one of the backup.
var ErrPassphrase = errors.New("the passphrase is not that of the backup: nothing was changed")

// decrypt returns the key that encrypt has encrypted.
func decrypt(aged []byte, passphrase string) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, ErrPassphrase // it is empty
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(aged)), identity)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, ErrPassphrase
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(r, maxSmall))
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt the key of the backup: %w", err)
	}
	return registry.ParseKey(string(text))
}

// unpacked is what unpack returns of a backup, beside its store.
type unpacked struct {
	About
	aged []byte // empty: the backup is without the key
}

// unpack writes the store of a backup to a new file at path, or nowhere if path is empty, and
// verifies all of the backup. What it has written before an error is worth nothing.
func unpack(from io.Reader, path string) (u unpacked, err error) {
	r := &reader{Reader: tar.NewReader(from)}
	about, err := r.small(aboutFile)
	switch {
	case errors.Is(err, tar.ErrHeader), errors.Is(err, errOther), errors.Is(err, errShort), err == nil && json.Unmarshal(about, &u.About) != nil:
		return u, errors.New("this is no backup of idlepush")
	case err != nil:
		return u, err
	}
	if u.Format > format {
		return u, fmt.Errorf("the backup was made by a newer idlepush (%s): use that one", u.Program)
	}
	if err := r.store(path); err != nil {
		return u, err
	}
	if u.HasKey {
		if u.aged, err = r.small(agedFile); err != nil {
			return u, err
		}
	}
	want := r.sums.String()
	sums, err := r.small(sumsFile)
	if err == nil && string(sums) != want {
		err = errDamaged
	}
	if err == nil {
		_, err = io.Copy(io.Discard, from) // or who writes it would see it closed early
	}
	return u, err
}

var (
	errShort   = errors.New("the backup is cut short: its end is missing. Use another one")
	errDamaged = errors.New("the backup is damaged: what it holds does not fit its checksums. Use another one")
	errOther   = errors.New("the backup is damaged: it holds other files than a backup does. Use another one")
)

// reader reads the files of a backup, and keeps their sums.
type reader struct {
	*tar.Reader
	sums bytes.Buffer
}

// begin goes to the next file, which must have this name.
func (r *reader) begin(name string) error {
	header, err := r.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errShort
	case err != nil:
		return fmt.Errorf("%w (%w)", errDamaged, err)
	case header.Name != name:
		return errOther
	}
	return nil
}

// copy copies the file to w.
func (r *reader) copy(w io.Writer, name string, from io.Reader) error {
	sum := sha256.New()
	_, err := io.Copy(io.MultiWriter(w, sum), from)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	r.sums.WriteString(sumLine(sum, name))
	return err
}

func (r *reader) small(name string) ([]byte, error) {
	if err := r.begin(name); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := r.copy(&out, name, io.LimitReader(r, maxSmall))
	return out.Bytes(), err
}

func (r *reader) store(path string) error {
	if err := r.begin(storeFile); err != nil {
		return err
	}
	if path == "" {
		return r.copy(io.Discard, storeFile, r)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("unpack the backup: %w", err)
	}
	err = r.copy(f, storeFile, r)
	if err = errors.Join(err, f.Sync(), f.Close()); errors.Is(err, errShort) {
		return errShort
	}
	return err
}

package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// The buckets. Rows are JSON; times within keys are nanoseconds since 1970, eight bytes, big endian.
var (
	users         = []byte("users")         // id
	tokens        = []byte("tokens")        // SHA-256 of the token
	accounts      = []byte("accounts")      // id
	cursors       = []byte("cursors")       // account, folder
	devices       = []byte("devices")       // id
	owners        = []byte("owners")        // user id, '/', device id
	addresses     = []byte("addresses")     // SHA-256 of transport and address → device id
	queues        = []byte("queues")        // device id → when it is due, its lane, its status, its lines
	lanes         = []byte("lanes")         // lane, while it is paused
	notifications = []byte("notifications") // sequence, stable id
	messages      = []byte("messages")      // account or user, '/', stable id → notifications key; account, '#', hash of fingerprint → the same
	outbox        = []byte("outbox")        // device id, line, sequence → notifications key
	due           = []byte("due")           // time, device id → lane
	announced     = []byte("announced")     // account, hash of folder, UIDVALIDITY, UID → notifications key, until the mail is cleared
	unread        = []byte("unread")        // account → how many mails of its folders are unread
	hosts         = []byte("hosts")         // host and port → what was learned of it
	invites       = []byte("invites")       // SHA-256 of the code
	meta          = []byte("meta")          // the names below
)

// What meta holds.
var (
	metaSchema    = []byte("schema")     // version, as JSON number
	metaInstance  = []byte("instance")   // id of this store
	metaProbe     = []byte("probe")      // a sealed value that tells whether the key fits
	metaVAPID     = []byte("vapid")      // sealed scalar of the application server's private key
	metaSetup     = []byte("setup")      // SHA-256 of the setup token, until setup
	metaPublicURL = []byte("public-url") // as the admin used it at setup
)

// steps lead from each schema version to the next: steps[0] makes version 1 of an empty file. A step, once released,
// stays as it is; testdata holds a store of every released version.
var steps = []func(*bolt.Tx, seals) error{createSchema, addWhatIsReadElsewhere, partQueuesIntoLines, addInvites}

// schemaVersion is the version that the file has. An error: it is none of ours, newer than this program, or the key does
// not fit it.
func schemaVersion(tx *bolt.Tx, s seals) (version int, err error) {
	m := tx.Bucket(meta)
	if m == nil {
		return 0, fmt.Errorf("%w: another program wrote it", ErrCorrupt)
	}
	if v := m.Get(metaSchema); v == nil || json.Unmarshal(v, &version) != nil || version < 1 {
		return 0, fmt.Errorf("%w: it has no schema version", ErrCorrupt)
	}
	if version > len(steps) {
		return 0, fmt.Errorf("it has schema version %d, this program knows up to %d: run the newer idlepush that wrote it, or restore an older backup",
			version, len(steps))
	}
	var probe string
	if err := s.open("probe", m.Get(metaProbe), &probe); err != nil {
		return 0, errors.New("the key does not fit it: give the key it was made with (the file `key` of the same backup)")
	}
	return version, nil
}

// upgrade brings the file from a version to the newest, all steps in this one transaction.
func upgrade(tx *bolt.Tx, s seals, version int) error {
	for ; version < len(steps); version++ {
		if err := steps[version](tx, s); err != nil {
			return fmt.Errorf("upgrade to schema version %d: %w", version+1, err)
		}
		put(tx.Bucket(meta), metaSchema, version+1)
	}
	return nil
}

func createSchema(tx *bolt.Tx, s seals) error {
	for _, name := range [][]byte{users, tokens, accounts, cursors, devices, owners, addresses, queues, lanes, notifications, messages, outbox, due, meta} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	scalar, err := key.Bytes()
	if err != nil {
		return err
	}
	m := tx.Bucket(meta)
	put(m, metaInstance, newID())
	must(m.Put(metaProbe, s.seal("probe", "idlepush")))
	must(m.Put(metaVAPID, s.seal("vapid", scalar)))
	return nil
}

func addWhatIsReadElsewhere(tx *bolt.Tx, _ seals) error {
	for _, name := range [][]byte{announced, unread, hosts} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

func partQueuesIntoLines(tx *bolt.Tx, _ seals) error {
	b := tx.Bucket(outbox)
	parted := make(map[string][]byte)
	var old [][]byte
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		var n Notification
		found, err := get(tx.Bucket(notifications), v, &n)
		if err != nil {
			return err
		}
		if found {
			device, seq := k[:len(k)-8], k[len(k)-8:]
			parted[string(outboxKey(string(device), n.line(), seq))] = slices.Clone(v)
		}
		old = append(old, slices.Clone(k))
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	for k, v := range parted {
		if err := b.Put([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

func addInvites(tx *bolt.Tx, _ seals) error {
	_, err := tx.CreateBucket(invites)
	return err
}

// VAPIDKey is the application server's key (RFC 8292 section 3.2), made with the store and kept: another key would end
// every Web Push subscription.
func (s *Store) VAPIDKey() (*ecdsa.PrivateKey, error) {
	var scalar []byte
	err := s.view(func(tx *bolt.Tx) error {
		return s.seals.open("vapid", tx.Bucket(meta).Get(metaVAPID), &scalar)
	})
	if err != nil {
		return nil, fmt.Errorf("read the VAPID key: %w", err)
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
}

package table

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// tagSize is the size of a tag in bytes. The tag stands before the row.
const tagSize = 16

// newTagKey derives the key of the tags from that of the store (RFC 5869), which seals columns.
func newTagKey(key []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, "idlepush tags of rows", sha256.Size)
}

// tag returns the tag of a row: HMAC-SHA-256 (RFC 2104), cut to tagSize.
func (db *DB) tag(table string, key, data []byte) []byte {
	mac := hmac.New(sha256.New, db.keys.tag)
	mac.Write(AppendUint32(AppendText(nil, table), uint32(len(key))))
	mac.Write(key)
	mac.Write(data)
	return mac.Sum(nil)[:tagSize:tagSize]
}

// verify returns the row behind the tag, and reports whether the tag fits.
func (db *DB) verify(table string, key, data []byte) (row []byte, ok bool) {
	if len(data) < tagSize {
		return nil, false
	}
	row = data[tagSize:]
	return row, hmac.Equal(db.tag(table, key, row), data[:tagSize])
}

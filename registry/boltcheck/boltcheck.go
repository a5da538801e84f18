// Package boltcheck finds damage in a bbolt file without opening it for use.
//
// bbolt trusts the file that it maps into memory. In a damaged file one wrong number can end the
// process, and recover does not help. [Check] reads the file instead of mapping it, and follows the
// links to all pages. It knows bbolt's file format, version 2, but not the meaning of keys and
// values.
package boltcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged reports that the file is not one that bbolt can have written.
var ErrDamaged = errors.New("not an intact bbolt file")

// Pages have a header of 16 bytes. Numbers are in the machine's own byte order.
const (
	pageHeader = 16 // id uint64, flags uint16, count uint16, overflow uint32
	// leaf: flags, pos, key size, value size uint32; branch: pos, key size uint32, child uint64
	pageElement  = 16
	bucketHeader = 16 // root uint64, sequence uint64; if root is 0, the page itself follows

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 0x01 // of a leaf element

	// magic, version, page size, flags uint32; root, sequence, freelist, top, transaction, checksum
	// uint64
	metaSize    = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2
)

// inspection is a walk over all pages of the file.
type inspection struct {
	file     io.ReaderAt
	pageSize int
	used     []bool // by page id
}

type page struct {
	flags, count uint16
	data         []byte // with the header
}

// Check reads the whole file at path. It returns an error that wraps ErrDamaged if the file is
// damaged, and another error if it cannot be read. It waits at most lockWait for another process
// that has the file open, and then returns bbolt's ErrTimeout.
func Check(path string, lockWait time.Duration) error {
	var file *os.File
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		ReadOnly: true, Timeout: lockWait,
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			if file, err = os.OpenFile(name, flag, mode); err != nil {
				return nil, err
			}
			// bbolt would report an error of reading as an invalid file.
			if _, err := file.ReadAt(make([]byte, 1), 0); err != nil && err != io.EOF {
				return file, err
			}
			return file, nil
		},
	})
	if err != nil {
		return Classify(err)
	}
	return errors.Join(CheckFile(file, db.Info().PageSize), db.Close())
}

// CheckFile is like Check, for an open file to which nobody writes meanwhile.
func CheckFile(file *os.File, pageSize int) error {
	err := inspect(file, pageSize)
	if _, system := errors.AsType[syscall.Errno](err); err == nil || system {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// tooSmall is the beginning of an error of bbolt's Open that is not exported.
const tooSmall = "file size too small"

// Classify adds ErrDamaged to an error of bbolt's Open that is about the content of the file, and
// not about opening or reading it.
func Classify(err error) error {
	for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum} {
		if errors.Is(err, damage) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if err != nil && strings.HasPrefix(err.Error(), tooSmall) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// inspect checks that the tree leads to each of its pages once, in the order of keys, and that
// every other page is free.
func inspect(file *os.File, pageSize int) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	root, freelist, top, err := newestMeta(file, pageSize)
	if err != nil {
		return err
	}
	if top > uint64(info.Size())/uint64(pageSize) {
		return fmt.Errorf("it is cut short: %d bytes, of %d pages of %d bytes", info.Size(), top, pageSize)
	}
	if top < 2 {
		return fmt.Errorf("it has %d pages", top)
	}
	in := &inspection{file, pageSize, make([]bool, top)}
	in.used[0], in.used[1] = true, true
	free, err := in.freelist(freelist)
	if err != nil {
		return err
	}
	if err := in.tree(root, nil, nil, onlyBuckets); err != nil {
		return err
	}
	for id, used := range in.used {
		if used == free[id] {
			return fmt.Errorf("page %d is in use: %v, and free: %v", id, used, free[id])
		}
	}
	return nil
}

// newestMeta reads the meta page of the last commit. Of the two it is the newer one that is intact.
func newestMeta(file io.ReaderAt, pageSize int) (root, freelist, top uint64, err error) {
	var newest uint64
	err = errors.New("both of its meta pages are broken")
	for i := range 2 {
		var m [metaSize]byte
		if _, err := file.ReadAt(m[:], int64(i*pageSize+pageHeader)); err != nil {
			return 0, 0, 0, err
		}
		sum := fnv.New64a()
		sum.Write(m[:metaSize-8])
		number := func(at int) uint64 { return binary.NativeEndian.Uint64(m[at:]) }
		magic, version := binary.NativeEndian.Uint32(m[:]), binary.NativeEndian.Uint32(m[4:])
		if magic != metaMagic || version != metaVersion || number(56) != sum.Sum64() {
			continue
		}
		if txid := number(48); err != nil || txid > newest {
			newest, root, freelist, top, err = txid, number(16), number(32), number(40), nil
		}
	}
	return root, freelist, top, err
}

// page reads a page, with the pages that it overflows into, and marks all of them as used.
func (in *inspection) page(id uint64) (page, error) {
	if id < 2 || id >= uint64(len(in.used)) {
		return page{}, fmt.Errorf("it leads to page %d of %d", id, len(in.used))
	}
	data := make([]byte, in.pageSize)
	if _, err := in.file.ReadAt(data, int64(id)*int64(in.pageSize)); err != nil {
		return page{}, err
	}
	p := page{binary.NativeEndian.Uint16(data[8:]), binary.NativeEndian.Uint16(data[10:]), data}
	pages := 1 + uint64(binary.NativeEndian.Uint32(data[12:]))
	if binary.NativeEndian.Uint64(data) != id || pages > uint64(len(in.used))-id {
		return page{}, fmt.Errorf("page %d has an invalid header", id)
	}
	for i := id; i < id+pages; i++ {
		if in.used[i] {
			return page{}, fmt.Errorf("page %d is used twice", i)
		}
		in.used[i] = true
	}
	if pages > 1 {
		p.data = make([]byte, pages*uint64(in.pageSize))
		if _, err := in.file.ReadAt(p.data, int64(id)*int64(in.pageSize)); err != nil {
			return page{}, err
		}
	}
	return p, nil
}

// freelist returns for each page whether it is free.
func (in *inspection) freelist(id uint64) ([]bool, error) {
	p, err := in.page(id)
	if err != nil {
		return nil, err
	}
	list, count := p.data[pageHeader:], uint64(p.count)
	if count == 0xFFFF {
		count, list = binary.NativeEndian.Uint64(list), list[8:]
	}
	if p.flags != freelistPage || count > uint64(len(list)/8) {
		return nil, fmt.Errorf("page %d is not a list of free pages", id)
	}
	free := make([]bool, len(in.used))
	for i := range count {
		at := binary.NativeEndian.Uint64(list[8*i:])
		if at < 2 || at >= uint64(len(free)) || free[at] {
			return nil, fmt.Errorf("page %d lists page %d as free", id, at)
		}
		free[at] = true
	}
	return free, nil
}

// tree checks a page and all pages below it. Their first key must be low, and all keys must be less
// than high. If low or high is nil, there is no such bound.
func (in *inspection) tree(id uint64, low, high []byte, may content) error {
	p, err := in.page(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case leafPage:
		err = in.leaf(p, low, high, may)
	case branchPage:
		err = in.branch(p, low, high, may)
	default:
		err = errors.New("unknown kind")
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (in *inspection) branch(p page, low, high []byte, may content) error {
	list, err := p.entries(low, high)
	if err != nil {
		return err
	}
	for i, e := range list {
		below := high
		if i+1 < len(list) {
			below = list[i+1].key
		}
		if err := in.tree(e.child, e.key, below, may); err != nil {
			return err
		}
	}
	return nil
}

// content says which elements a leaf may have.
type content int

const (
	all         content = iota
	onlyBuckets         // in the root bucket
	onlyValues          // in a bucket whose page follows its header
)

// leaf checks a leaf and the buckets in it.
func (in *inspection) leaf(p page, low, high []byte, may content) error {
	list, err := p.entries(low, high)
	if err != nil {
		return err
	}
	for _, e := range list {
		switch {
		case e.flags == 0 && may != onlyBuckets:
			continue
		case e.flags != bucketFlag || may == onlyValues:
			return fmt.Errorf("element %q has the wrong kind %d", e.key, e.flags)
		}
		if err := in.bucket(e.value); err != nil {
			return fmt.Errorf("bucket %q: %w", e.key, err)
		}
	}
	return nil
}

func (in *inspection) bucket(value []byte) error {
	if len(value) < bucketHeader {
		return errors.New("it is cut short")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return in.tree(root, nil, nil, all)
	}
	// Such a page has no id, and no pages that it overflows into. bbolt would free both.
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint64(inline) != 0 ||
		binary.NativeEndian.Uint16(inline[8:]) != leafPage || binary.NativeEndian.Uint32(inline[12:]) != 0 {
		return errors.New("its inline page has an invalid header")
	}
	return in.leaf(page{leafPage, binary.NativeEndian.Uint16(inline[10:]), inline}, nil, nil, onlyValues)
}

// entry is an element of a leaf, with flags, key and value, or of a branch, with key and child.
type entry struct {
	flags      uint32
	child      uint64
	key, value []byte
}

// entries returns the entries of the page. It has a table, and then keys and values without gaps,
// in the order of the keys. A page without entries is valid only as the one page of an empty
// bucket, for which low is nil.
func (p page) entries(low, high []byte) ([]entry, error) {
	list, table := make([]entry, p.count), pageHeader+int(p.count)*pageElement
	if table > len(p.data) || len(list) == 0 && (p.flags != leafPage || low != nil) {
		return nil, fmt.Errorf("it cannot have %d entries", p.count)
	}
	number := func(at int) uint32 { return binary.NativeEndian.Uint32(p.data[at:]) }
	data := p.data[table:]
	for i := range list {
		e, at := &list[i], pageHeader+i*pageElement
		var pos, keySize, valueSize uint32
		if p.flags == branchPage {
			pos, keySize, e.child = number(at), number(at+4), binary.NativeEndian.Uint64(p.data[at+8:])
		} else {
			e.flags, pos, keySize, valueSize = number(at), number(at+4), number(at+8), number(at+12)
		}
		size := uint64(keySize) + uint64(valueSize)
		if at+int(pos) != len(p.data)-len(data) || keySize == 0 || size > uint64(len(data)) {
			return nil, fmt.Errorf("entry %d is at the wrong place", i)
		}
		e.key, e.value, data = data[:keySize], data[keySize:size], data[size:]
		// bbolt finds a page by its first key in the page above. If the two keys differed, it would
		// leave a free page in the tree.
		if i == 0 && low != nil && !bytes.Equal(e.key, low) {
			return nil, errors.New("it does not begin with the key that leads to it")
		}
		follows := i == 0 || bytes.Compare(list[i-1].key, e.key) < 0
		if !follows || high != nil && bytes.Compare(e.key, high) >= 0 {
			return nil, fmt.Errorf("entry %d is out of order", i)
		}
	}
	return list, nil
}

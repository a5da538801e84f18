package boltcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/testenv"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	t.Run("an intact file passes", checkIntact)
	t.Run("a file that is not one of bbolt is damaged", checkForeign)
	t.Run("a file that is cut short is damaged", checkCutShort)
	t.Run("one torn meta page is no damage", checkTornMeta)
	t.Run("an invalid tree is damage", checkInvalidTree)
	t.Run("a page must begin with the key that leads to it", checkFirstKey)
	t.Run("a page of noise is found or not in use", checkNoise)
	t.Run("a wrong number is found or does no harm", checkWrongNumber)
	t.Run("flipped bits are found or do no harm", checkFlippedBits)
}

func checkIntact(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	for name, data := range map[string][]byte{
		"as it is":                d.whole,
		"cut after the last page": d.whole[:d.used],
		"longer than it needs be": append(bytes.Clone(d.whole), make([]byte, 3*d.page+1)...),
	} {
		d.put(t, data)
		if err := Check(d.path, lockWait); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func checkForeign(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	random := testenv.Rand(t)
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for name, data := range map[string][]byte{
		"a byte":        {1},
		"text":          []byte("This is no store.\n"),
		"a long text":   bytes.Repeat([]byte("This is no store.\n"), 5000),
		"zeros":         make([]byte, len(d.whole)),
		"ones":          bytes.Repeat([]byte{0xff}, len(d.whole)),
		"a random byte": noise(1),
		"random":        noise(len(d.whole)),
		"no metas":      append(noise(2*d.page), d.whole[2*d.page:]...),
		"metas of zero": append(make([]byte, 2*d.page), d.whole[2*d.page:]...),
		"metas alone":   d.whole[:2*d.page],
	} {
		t.Run(name, func(t *testing.T) { d.checkRefused(t, data) })
	}
}

func checkCutShort(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	cuts := []int{1, 100, d.used / 2}
	for at := d.page; at <= d.used; at += d.page {
		cuts = append(cuts, at-1, at, at+1)
	}
	for _, cut := range cuts {
		if cut < d.used {
			t.Run(fmt.Sprint(cut), func(t *testing.T) { d.checkRefused(t, d.whole[:cut]) })
		}
	}
}

// checkTornMeta tears a meta page, as a power cut during a commit may. The other one has the state
// before the commit.
func checkTornMeta(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	for i := range 2 {
		torn := bytes.Clone(d.whole)
		copy(torn[i*d.page+pageHeader:], make([]byte, 40))
		d.put(t, torn)
		if err := Check(d.path, lockWait); err != nil {
			t.Errorf("meta %d: %v", i, err)
		}
	}
}

// checkInvalidTree makes changes that nothing else would notice. Later a commit would overwrite a
// page in use, or a search would miss a key.
func checkInvalidTree(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	freelist, branch, leaf, free := d.pages(t, "freelist")[0], d.pages(t, "branch")[0], d.pages(t, "leaf")[0], d.pages(t, "free")[0]
	u16, u64 := binary.NativeEndian.PutUint16, binary.NativeEndian.PutUint64
	less := func(data []byte, page int) { u16(data[page+10:], binary.NativeEndian.Uint16(data[page+10:])-1) }
	swap := func(data []byte, a, b string) {
		between := strings.Repeat("~", len(a))
		for _, step := range [][2]string{{a, between}, {b, a}, {between, b}} {
			copy(data, bytes.ReplaceAll(data, []byte(step[0]), []byte(step[1])))
		}
	}
	for name, harm := range map[string]func(data []byte){
		"a page neither used nor free":  func(data []byte) { less(data, freelist) },
		"a used page listed as free":    func(data []byte) { u64(data[freelist+16:], uint64(leaf/d.page)) },
		"a page listed twice as free":   func(data []byte) { copy(data[freelist+16:freelist+24], data[freelist+24:freelist+32]) },
		"a page beyond the end":         func(data []byte) { u64(data[freelist+16:], 1<<40) },
		"a page used twice":             func(data []byte) { copy(data[branch+24:branch+32], data[branch+40:branch+48]) },
		"a branch that leads to itself": func(data []byte) { u64(data[branch+24:], uint64(branch/d.page)) },
		"a branch to a free page":       func(data []byte) { u64(data[branch+24:], uint64(free/d.page)) },
		"a branch to a meta page":       func(data []byte) { u64(data[branch+24:], 0) },
		"a branch cut short":            func(data []byte) { less(data, branch) },
		"a leaf cut short":              func(data []byte) { less(data, leaf) },
		"a leaf that is empty":          func(data []byte) { u16(data[leaf+10:], 0) },
		"a page in a bucket's header with a number": func(data []byte) {
			for at := range data { // on free pages, too
				if bytes.HasPrefix(data[at:], []byte("small")) {
					data[at+len("small")+bucketHeader+3] = 0x80
				}
			}
		},
		"a bucket with the flag of a value": func(data []byte) {
			for _, at := range d.pages(t, "leaf") {
				if i := bytes.Index(data[at:at+d.page], []byte("empty")); i > 0 {
					data[at+pageHeader] = 0
				}
			}
		},
		"keys out of order":           func(data []byte) { swap(data, "key 0500", "key 0501") },
		"keys in one another's pages": func(data []byte) { swap(data, "key 0110", "key 0590") },
	} {
		t.Run(name, func(t *testing.T) {
			data := bytes.Clone(d.whole)
			harm(data)
			if bytes.Equal(data, d.whole) {
				t.Error("nothing was changed")
			}
			d.checkRefused(t, data)
		})
	}
}

func checkFirstKey(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	for _, at := range d.pages(t, "branch") {
		for i := range int(binary.NativeEndian.Uint16(d.whole[at+10:])) {
			e := at + pageHeader + i*pageElement
			pos, size := int(binary.NativeEndian.Uint32(d.whole[e:])), int(binary.NativeEndian.Uint32(d.whole[e+4:]))
			data := bytes.Clone(d.whole)
			data[e+pos+size-1]--
			t.Run(fmt.Sprintf("page %d, entry %d", at/d.page, i), func(t *testing.T) { d.checkRefused(t, data) })
		}
	}
}

// checkUsable writes data to the file and checks it. It reports whether the file passed. If it did,
// bbolt must be able to read all of it and to write to it.
func (d damagedFile) checkUsable(t testing.TB, data []byte) bool {
	t.Helper()
	d.put(t, data)
	if err := Check(d.path, lockWait); err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		return false
	}
	db, err := bolt.Open(d.path, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Error(err)
		return true
	}
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return tx.ForEach(read)
	})
	if err != nil {
		t.Errorf("bbolt finds damage that Check does not find: %v", err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			for i := range 50 {
				if err := b.Put(fmt.Appendf(nil, "key %04d", 7*i), []byte("another")); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Errorf("write: %v", err)
	}
	if err := Check(d.path, lockWait); err != nil {
		t.Errorf("after a commit: %v", err)
	}
	return true
}

// read reads all of a bucket.
func read(_ []byte, b *bolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return read(k, b.Bucket(k))
		}
		if bytes.Count(v, []byte{0}) > len(v) {
			return errors.New("not possible")
		}
		return nil
	})
}

// checkNoise replaces each page in turn by noise, with a header of noise or with one that looks
// right, and by another page.
func checkNoise(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	random := testenv.Rand(t)
	refused := 0
	try := func(data []byte, at int) {
		if !d.checkUsable(t, data) {
			refused++
		}
		if t.Failed() {
			t.Fatalf("at page %d", at/d.page)
		}
	}
	for at := 2 * d.page; at < d.used; at += d.page {
		for _, keep := range []int{0, 8, 12, pageHeader} {
			data := bytes.Clone(d.whole)
			for i := at + keep; i < at+d.page; i++ {
				data[i] = byte(random.Uint32())
			}
			try(data, at)
		}
		for _, with := range []int{0, 2 * d.page, 5 * d.page} {
			data := bytes.Clone(d.whole)
			copy(data[at:at+d.page], d.whole[with:with+d.page])
			try(data, at)
		}
	}
	if refused < 20 {
		t.Errorf("only %d files were refused", refused)
	}
}

// checkWrongNumber sets numbers in page headers and elements to values that lead elsewhere.
func checkWrongNumber(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	random := testenv.Rand(t)
	pages := uint64(d.used / d.page)
	values := []uint64{0, 1, 2, 3, 1 << 15, 1<<16 - 1, 1 << 20, 1<<31 - 1, 1<<32 - 1, 1 << 40, 1 << 52, 1 << 62, 1<<64 - 1, pages, pages - 1}
	for range testenv.Tenth(5000) {
		data := bytes.Clone(d.whole)
		at := (2 + random.IntN(int(pages)-2)) * d.page
		offset := at + 2*random.IntN(60)
		v := values[random.IntN(len(values))]
		switch random.IntN(3) {
		case 0:
			binary.NativeEndian.PutUint16(data[offset:], uint16(v))
		case 1:
			binary.NativeEndian.PutUint32(data[offset:], uint32(v))
		case 2:
			binary.NativeEndian.PutUint64(data[offset:], v)
		}
		d.checkUsable(t, data)
		if t.Failed() {
			t.Fatalf("page %d, offset %d, value %#x", at/d.page, offset-at, v)
		}
	}
}

func checkFlippedBits(t *testing.T) {
	t.Parallel()
	d := newDamagedFile(t)
	random := testenv.Rand(t)
	for range testenv.Tenth(5000) {
		data := bytes.Clone(d.whole)
		var flips []int
		for range 1 + random.IntN(8) {
			at := 2*d.page + random.IntN(d.used-2*d.page)
			data[at] ^= 1 << random.IntN(8)
			flips = append(flips, at)
		}
		d.checkUsable(t, data)
		if t.Failed() {
			t.Fatalf("flipped at %v", flips)
		}
	}
}

func FuzzCheck(f *testing.F) {
	d := newDamagedFile(f) // the same bytes each time
	f.Add(uint32(0), []byte{0})
	f.Add(uint32(2*d.page+10), []byte{0xff, 0xff})
	f.Add(uint32(3*d.page+24), []byte{0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, at uint32, noise []byte) {
		data := bytes.Clone(d.whole)
		copy(data[int(at)%len(data):], noise)
		d.checkUsable(t, data)
	})
}

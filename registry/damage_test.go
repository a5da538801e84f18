package registry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/testenv"
)

// damagedStore is a folder whose store can be damaged in many ways, one after the other.
type damagedStore struct {
	dir   string
	whole []byte
	page  int
}

func newDamagedStore(t testing.TB) damagedStore {
	t.Helper()
	dir := closedStore(t)
	whole, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	return damagedStore{dir, whole, os.Getpagesize()}
}

func (d damagedStore) put(t testing.TB, data []byte) {
	t.Helper()
	putFile(t, filepath.Join(d.dir, storeFile), data)
}

// used is how many bytes of the file hold something: what lies beyond is room to grow.
func (d damagedStore) used(t testing.TB) (n int) {
	t.Helper()
	d.put(t, d.whole)
	s, err := Open(d.dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.view(func(tx *bolt.Tx) error { n = int(tx.Size()); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFileThatIsNoStoreIsRefusedAsItIs(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	random := testenv.Rand(t)
	garbage := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for name, data := range map[string][]byte{
		"empty":         {},
		"a byte":        {1},
		"text":          []byte("This is no store.\n"),
		"a long text":   bytes.Repeat([]byte("This is no store.\n"), 5000),
		"zeros":         make([]byte, len(d.whole)),
		"ones":          bytes.Repeat([]byte{0xff}, len(d.whole)),
		"a random byte": garbage(1),
		"random":        garbage(len(d.whole)),
		"no metas":      append(garbage(2*d.page), d.whole[2*d.page:]...),
		"metas of zero": append(make([]byte, 2*d.page), d.whole[2*d.page:]...),
		"metas alone":   d.whole[:2*d.page],
	} {
		t.Run(name, func(t *testing.T) {
			d.put(t, data)
			refused(t, d.dir, nil, "damaged", "backup")
		})
	}
	if err := os.Remove(filepath.Join(d.dir, storeFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(d.dir, storeFile), 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, d.dir, nil, "damaged", "backup")
}

func TestAStoreThatIsCutShortIsRefusedAsItIs(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	used := d.used(t)
	cuts := []int{1, 100, len(d.whole) / 2}
	for at := d.page; at <= used; at += d.page {
		cuts = append(cuts, at-1, at, at+1)
	}
	for _, cut := range cuts {
		if cut >= used {
			continue
		}
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			d.put(t, d.whole[:cut])
			refused(t, d.dir, nil, "damaged", "backup")
		})
	}
	d.put(t, d.whole[:used])
	s, err := Open(d.dir, unsynced)
	if err != nil {
		t.Fatalf("cut where nothing is: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// One meta page of two may be torn by a power cut in the middle of a commit: the other is the state before it.
func TestATornMetaPageGivesTheStateBeforeTheLastCommit(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	for page := range 2 {
		torn := bytes.Clone(d.whole)
		copy(torn[page*d.page+16:], make([]byte, 40))
		d.put(t, torn)
		s, err := Open(d.dir, unsynced)
		if err != nil {
			t.Fatalf("meta %d torn: %v", page, err)
		}
		checkStore(t, s)
		list, err := s.Accounts()
		if err != nil || len(list) != 1 {
			t.Fatalf("%d accounts, %v", len(list), err)
		}
		if c, err := s.Cursor(list[0].ID, "INBOX"); err != nil || c.Next != 61 && c.Next != 41 {
			t.Errorf("meta %d torn: the cursor stands at %d, %v", page, c.Next, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// pages gives the numbers of the pages of a kind, as bbolt calls it.
func (d damagedStore) pages(t testing.TB, kind string) (list []int) {
	t.Helper()
	d.put(t, d.whole)
	db, err := bolt.Open(filepath.Join(d.dir, storeFile), 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if p == nil || err != nil {
				return err
			}
			if p.Type == kind {
				list = append(list, id)
			}
		}
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatalf("no page is %s", kind)
	}
	return list
}

// Each of these would go unnoticed until a commit writes over what is in use, or a search misses what is there.
func TestATreeThatCannotBeRightIsRefused(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	freelist, branch, leaf, free := d.pages(t, "freelist")[0]*d.page, d.pages(t, "branch")[0]*d.page, d.pages(t, "leaf")[0]*d.page, d.pages(t, "free")
	u16, u64 := binary.NativeEndian.PutUint16, binary.NativeEndian.PutUint64
	count := func(data []byte, page int) uint16 { return binary.NativeEndian.Uint16(data[page+10:]) }
	for name, harm := range map[string]func(data []byte){
		"a page neither used nor free":  func(data []byte) { u16(data[freelist+10:], count(data, freelist)-1) },
		"a used page listed as free":    func(data []byte) { u64(data[freelist+16:], uint64(leaf/d.page)) },
		"a page listed twice as free":   func(data []byte) { copy(data[freelist+16:freelist+24], data[freelist+24:freelist+32]) },
		"a page beyond the end":         func(data []byte) { u64(data[freelist+16:], 1<<40) },
		"a page used twice":             func(data []byte) { copy(data[branch+24:branch+32], data[branch+40:branch+48]) },
		"a branch that leads to itself": func(data []byte) { u64(data[branch+24:], uint64(branch/d.page)) },
		"a branch to a free page":       func(data []byte) { u64(data[branch+24:], uint64(free[0])) },
		"a branch to a meta page":       func(data []byte) { u64(data[branch+24:], 0) },
		"a leaf cut short":              func(data []byte) { u16(data[leaf+10:], count(data, leaf)-1) },
		"a leaf that is empty":          func(data []byte) { u16(data[leaf+10:], 0) },
		"a branch cut short":            func(data []byte) { u16(data[branch+10:], count(data, branch)-1) },
		"keys out of order":             d.swapKeys(t),
	} {
		t.Run(name, func(t *testing.T) {
			data := bytes.Clone(d.whole)
			harm(data)
			if bytes.Equal(data, d.whole) {
				t.Error("nothing was harmed")
			}
			d.put(t, data)
			refused(t, d.dir, nil, "damaged", "backup")
		})
	}
}

// swapKeys exchanges two keys of one leaf.
func (d damagedStore) swapKeys(t testing.TB) func(data []byte) {
	t.Helper()
	d.put(t, d.whole)
	s, err := Open(d.dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	var keys [][]byte
	err = s.view(func(tx *bolt.Tx) error {
		for _, row := range rows(tx, addresses) { // which are nowhere else
			keys = append(keys, bytes.Clone(row[0]))
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return func(data []byte) {
		between := bytes.Repeat([]byte{'~'}, len(keys[0]))
		swapped := bytes.ReplaceAll(data, keys[0], between)
		swapped = bytes.ReplaceAll(swapped, keys[1], keys[0])
		copy(data, bytes.ReplaceAll(swapped, between, keys[1]))
	}
}

// Each page of the file in turn, whatever it holds, as noise with a header that is noise too, or that looks right.
func TestAPageOfNoiseIsFoundOrIsNotInUse(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	random := testenv.Rand(t)
	refusals := 0
	for at := 2 * d.page; at < d.used(t); at += d.page {
		for _, keep := range []int{0, 8, 12, 16} {
			data := bytes.Clone(d.whole)
			for i := at + keep; i < at+d.page; i++ {
				data[i] = byte(random.Uint32())
			}
			if !d.opensWholeOrNot(t, data) {
				refusals++
			}
		}
		for _, with := range []int{0, 2 * d.page, 5 * d.page} {
			data := bytes.Clone(d.whole)
			copy(data[at:at+d.page], d.whole[with:with+d.page])
			if !d.opensWholeOrNot(t, data) {
				refusals++
			}
		}
		if t.Failed() {
			t.Fatalf("at page %d", at/d.page)
		}
	}
	if refusals < 20 {
		t.Errorf("only %d were refused", refusals)
	}
}

// The numbers in page headers and elements lead to other places: each is set to values that lead astray.
func TestANumberThatLeadsAstrayIsFoundOrChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	used := d.used(t)
	random := testenv.Rand(t)
	values := []uint64{0, 1, 2, 3, 1 << 15, 1<<16 - 1, 1 << 20, 1<<31 - 1, 1<<32 - 1, 1 << 40, 1 << 52, 1 << 62, 1<<64 - 1, uint64(used / d.page), uint64(used/d.page) - 1}
	for range testenv.Tenth(2000) {
		data := bytes.Clone(d.whole)
		at := (2 + random.IntN(used/d.page-2)) * d.page
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
		d.opensWholeOrNot(t, data)
		if t.Failed() {
			t.Fatalf("page %d, offset %d, value %#x", at/d.page, offset-at, v)
		}
	}
}

// branches are the offsets of the branch pages that are in use: a free page keeps what it held.
func (d damagedStore) branches(t testing.TB) (list []int) {
	t.Helper()
	used := d.used(t)
	s, err := Open(d.dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.view(func(tx *bolt.Tx) error {
		for id := range used / d.page {
			if info, err := tx.Page(id); err != nil {
				return err
			} else if info != nil && info.Type == "branch" {
				list = append(list, id*d.page)
			}
		}
		return nil
	})
	if err != nil || len(list) == 0 {
		t.Fatalf("%d branch pages, %v", len(list), err)
	}
	return list
}

func TestAKeyThatLeadsToAPageIsThePagesFirst(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	for _, at := range d.branches(t) {
		n := int(binary.NativeEndian.Uint16(d.whole[at+10:]))
		for i := range n {
			e := at + pageHeader + i*pageElement
			pos, size := int(binary.NativeEndian.Uint32(d.whole[e:])), int(binary.NativeEndian.Uint32(d.whole[e+4:]))
			data := bytes.Clone(d.whole)
			// A little less is still more than all before it where keys are random.
			data[e+pos+size-1]--
			d.put(t, data)
			if s, err := Open(d.dir, unsynced); err == nil {
				s.Close()
				t.Errorf("page %d, entry %d of %d: it opens", at/d.page, i, n)
			}
		}
	}
}

func TestFlippedBitsAreFoundOrReadWithoutHarm(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	used := d.used(t)
	random := testenv.Rand(t)
	for range testenv.Tenth(1000) {
		data := bytes.Clone(d.whole)
		var flips []int
		for range 1 + random.IntN(8) {
			at := 2*d.page + random.IntN(used-2*d.page)
			data[at] ^= 1 << random.IntN(8)
			flips = append(flips, at)
		}
		d.opensWholeOrNot(t, data)
		if t.Failed() {
			t.Fatalf("flipped at %v", flips)
		}
	}
}

func FuzzADamagedFileIsNeverAPanic(f *testing.F) {
	dir, _ := goldenDir(f, "v1") // the same bytes each time
	whole, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		f.Fatal(err)
	}
	d := damagedStore{dir, whole, os.Getpagesize()}
	f.Add(uint32(0), []byte{0})
	f.Add(uint32(2*d.page+10), []byte{0xff, 0xff})
	f.Add(uint32(3*d.page+24), []byte{0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, at uint32, noise []byte) {
		data := bytes.Clone(d.whole)
		copy(data[int(at)%len(data):], noise)
		d.opensWholeOrNot(t, data)
	})
}

// opensWholeOrNot holds Open to its promise on some data: an error that helps and an unchanged file, or a store that
// can be used, where rows that were damaged in themselves give errors.
func (d damagedStore) opensWholeOrNot(t testing.TB, data []byte) bool {
	t.Helper()
	d.put(t, data)
	before := files(t, d.dir)
	s, err := Open(d.dir, unsynced)
	if err != nil {
		helps(t, err, "backup", filepath.Join(d.dir, storeFile))
		unchanged(t, d.dir, before)
		return false
	}
	d.use(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return true
}

// use calls what reads and writes most of the store; every error must say that the store is damaged.
func (d damagedStore) use(t testing.TB, s *Store) {
	t.Helper()
	try := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrStale) {
			t.Errorf("an error that does not say what happened: %v", err)
		}
	}
	list, err := s.Accounts()
	try(err)
	for _, a := range list {
		from, err := s.Cursor(a.ID, "INBOX")
		try(err)
		_, err = s.Record(Arrival{Account: a.ID, Folder: "INBOX", From: from, To: Cursor{UIDValidity: 7, Next: from.Next + 1}, Mails: []Mail{{UID: from.Next}}, At: dawn})
		try(err)
		_, _, err = s.Notifications(a.Owner, "", 500, dawn)
		try(err)
	}
	queues, _, err := s.Due(dawn.Add(time.Hour), 100, nil)
	try(err)
	for _, q := range queues {
		w, ok, err := s.Next(q.Device, dawn)
		try(err)
		if ok {
			try(s.Settle(w, Outcome{Result: ResultDelivered}, dawn))
		}
	}
	_, err = s.Lanes()
	try(err)
	_, err = s.VAPIDKey()
	try(err)
	try(s.Purge(t.Context(), dawn.Add(2*Kept)))
}

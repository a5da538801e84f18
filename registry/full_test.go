package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// The child runs fillTheDisk, because the limit of a file's size, which stands for a full disk here, is the process's.
func TestAFullDiskFailsTheWriteWholeAndNothingElse(t *testing.T) {
	t.Parallel()
	out, err := child(t, "fill the disk", t.TempDir()).Output()
	if err != nil || !strings.HasSuffix(string(out), "done\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// spaceEnds lets no file grow or be written past size; 0 takes the limit away.
func spaceEnds(size uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	if l.Cur = size; size == 0 {
		l.Cur = l.Max
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

func fillTheDisk(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	u := User{ID: newID(), Name: "ann"}
	if err := s.update(func(tx *bolt.Tx) error { put(tx.Bucket(users), []byte(u.ID), userRow{User: u}); return nil }); err != nil {
		return err
	}
	a, _, err := s.AddAccount(Account{Owner: u.ID, Host: "h", Folders: []string{"INBOX"}, Enabled: true}, dawn)
	if err != nil {
		return err
	}
	d, _, err := s.PutDevice(Device{User: u.ID, Transport: FCM, Token: "token", Content: Preview}, dawn)
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, storeFile))
	if err != nil {
		return err
	}
	// No room to grow the file, then none for pages that the file has already.
	for _, size := range []int64{info.Size(), info.Size() / 2} {
		if err := spaceEnds(uint64(size)); err != nil {
			return err
		}
		if err := recordUntilFull(s, u, a, d); err != nil {
			return fmt.Errorf("with room for %d bytes: %w", size, err)
		}
		if err := spaceEnds(0); err != nil {
			return err
		}
		if _, err := s.Record(look(s, a)); err != nil {
			return fmt.Errorf("once there is room again: %w", err)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(dir, Options{}); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	fmt.Println("done")
	return s.Close()
}

// look is an arrival of ten mails that take some room.
func look(s *Store, a Account) Arrival {
	from, err := s.Cursor(a.ID, "INBOX")
	must(err)
	to := Cursor{UIDValidity: 7, Next: max(from.Next, 1)}
	var mails []Mail
	for range 10 {
		mails = append(mails, Mail{UID: to.Next, Content: Content{Preview: strings.Repeat("x", 1000)}})
		to.Next++
	}
	return Arrival{Account: a.ID, Folder: "INBOX", From: from, To: to, Mails: mails, At: dawn}
}

func recordUntilFull(s *Store, u User, a Account, d Device) error {
	for range 100 {
		arrival := look(s, a)
		_, err := s.Record(arrival)
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
			return fmt.Errorf("the error does not say why: %w", err)
		}
		if c, err := s.Cursor(a.ID, "INBOX"); err != nil || c.Next != arrival.From.Next {
			return fmt.Errorf("the cursor has moved to %+v, %v", c, err)
		}
		if _, err := s.Notification(u.ID, StableID(a.ID, "INBOX", 7, arrival.Mails[0].UID), dawn); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("half of it was kept: %v", err)
		}
		if arrival.From.Next > 0 {
			if _, ok, err := s.Next(d.ID, dawn); err != nil || !ok {
				return fmt.Errorf("what was there cannot be read: %v, %w", ok, err)
			}
		}
		return s.view(func(tx *bolt.Tx) error {
			for err := range tx.Check() {
				return err
			}
			return nil
		})
	}
	return errors.New("100 writes went through")
}

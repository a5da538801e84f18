package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"idlepush"
	"idlepush/registry/boltcheck"
	"idlepush/registry/table"
)

// The child runs fillTheDisk, because the limit of a file's size, which stands for a full disk
// here, is the process's.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"fill the disk", "start on a full disk"} {
		out, err := child(t, role, t.TempDir()).Output()
		if err != nil || !strings.HasSuffix(string(out), "done\n") {
			t.Errorf("%s: %v: %s", role, err, out)
		}
	}
}

// startOnFullDisk opens a store that was closed in order while nothing can be written: it is there,
// says so, and sends nothing until there is room.
func startOnFullDisk(dir string) error {
	s, _, a, d, err := furnishOne(dir)
	if err != nil {
		return err
	}
	if _, err := recordTen(s, a); err != nil {
		return err
	}
	if err := errors.Join(s.Close(), spaceEnds(4096)); err != nil {
		return err
	}
	if s, err = Open(dir, Options{}); err != nil {
		return fmt.Errorf("with a full disk: %w", err)
	}
	if _, ok, err := s.Outbox.Next(d.ID, dawn); ok || err == nil || s.Ready() == nil {
		return fmt.Errorf("with a full disk something is sent: %v, %w, or it is ready: %w", ok, err, s.Ready())
	}
	if err := spaceEnds(0); err != nil {
		return err
	}
	s.Probe(dawn)
	if _, ok, err := s.Outbox.Next(d.ID, dawn); !ok || err != nil || s.Ready() != nil {
		return fmt.Errorf("once there is room nothing is sent: %w, or it is not ready: %w", err, s.Ready())
	}
	err = s.db.View(func(tx *table.Tx) error {
		if marked, err := metas.Has(tx, metaUnsettled); err != nil || marked {
			return fmt.Errorf("the mark of the run before is there: %w", err)
		}
		return nil
	})
	fmt.Println("done")
	return errors.Join(err, s.Close())
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

// furnishOne makes a store with a person, a mailbox and a device.
func furnishOne(dir string) (s *Store, u idlepush.User, a idlepush.Account, d idlepush.Device, err error) {
	if s, err = Open(dir, Options{}); err != nil {
		return s, u, a, d, err
	}
	u = idlepush.User{ID: newID(), Name: "ann"}
	if err = s.db.Update(func(tx *table.Tx) error { return addUser(tx, u, password{}) }); err != nil {
		return s, u, a, d, err
	}
	if a, _, err = s.Accounts.Add(idlepush.Account{Owner: u.ID, Host: "h", Folders: []string{"INBOX"}, Enabled: true}, "", dawn); err != nil {
		return s, u, a, d, err
	}
	d, _, err = s.Devices.Register(idlepush.Device{User: u.ID, Transport: FCM, Lane: "fcm", Address: "token", Content: idlepush.LevelPreview}, "", dawn)
	return s, u, a, d, err
}

func fillTheDisk(dir string) error {
	s, u, a, d, err := furnishOne(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, storeFile)
	info, err := os.Stat(path)
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
		if s.Ready() == nil {
			return errors.New("it is ready before a commit has shown that there is room again")
		}
		if _, err := recordTen(s, a); err != nil {
			return fmt.Errorf("once there is room again: %w", err)
		}
		if err := s.Ready(); err != nil {
			return fmt.Errorf("not ready once there is room again: %w", err)
		}
	}
	if err := errors.Join(s.Close(), boltcheck.Check(path, table.LockWait)); err != nil {
		return err
	}
	if s, err = Open(dir, Options{}); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	fmt.Println("done")
	return s.Close()
}

// recordTen records ten mails that take some room, from where the cursor stands, and returns where
// that was.
func recordTen(s *Store, a idlepush.Account) (from Cursor, err error) {
	if from, err = s.Mail.Cursor(a.ID, "INBOX"); err != nil {
		return from, err
	}
	to := Cursor{UIDValidity: 7, Next: max(from.Next, 1)}
	var mails []Message
	for range 10 {
		mails = append(mails, Message{UID: to.Next, Content: idlepush.Content{Preview: strings.Repeat("x", 1000)}})
		to.Next++
	}
	_, err = s.Mail.Record(Arrival{Account: a.ID, Folder: "INBOX", From: from, To: to, Mails: mails, At: dawn})
	return from, err
}

func recordUntilFull(s *Store, u idlepush.User, a idlepush.Account, d idlepush.Device) error {
	for range 100 {
		from, err := recordTen(s, a)
		if err == nil {
			continue
		}
		full := syscall.EFBIG.Error() // the engine does not wrap it
		if !strings.Contains(err.Error(), full) || !strings.Contains(fmt.Sprint(s.Ready()), full) {
			return fmt.Errorf("the error does not say why: %w; or that of Ready: %w", err, s.Ready())
		}
		if c, err := s.Mail.Cursor(a.ID, "INBOX"); err != nil || c.Next != from.Next {
			return fmt.Errorf("the cursor has moved to %+v, %w", c, err)
		}
		if _, err := s.History.Get(u.ID, StableID(a.ID, "INBOX", 7, max(from.Next, 1)), dawn); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("half of it was kept: %w", err)
		}
		if from.Next > 0 {
			if _, ok, err := s.Outbox.Next(d.ID, dawn); err != nil || !ok {
				return fmt.Errorf("what was there cannot be read: %v, %w", ok, err)
			}
		}
		return nil
	}
	return errors.New("100 writes went through")
}

package registry

import bolt "go.etcd.io/bbolt"

// What the watcher learns of accounts and mail servers, beside their mail.

// SetUnread writes how many mails of the account are unread. ErrNotFound: there is no such account.
func (s *Store) SetUnread(account string, count int) error {
	return s.update(func(tx *bolt.Tx) error {
		if tx.Bucket(accounts).Get([]byte(account)) == nil {
			return ErrNotFound
		}
		put(tx.Bucket(unread), []byte(account), count)
		s.noteOf(AccountChanged, account, account)
		return nil
	})
}

// Unread gives how many mails of the account's folders are unread; known is false where no server has said so yet.
func (s *Store) Unread(account string) (count int, known bool, err error) {
	err = s.view(func(tx *bolt.Tx) (err error) {
		known, err = get(tx.Bucket(unread), []byte(account), &count)
		return err
	})
	return count, known, err
}

// Host gives what was learned of a mail server, by whatever name the caller gives it; the zero Host: nothing.
func (s *Store) Host(name string) (h Host, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		_, err := get(tx.Bucket(hosts), []byte(name), &h)
		return err
	})
	return h, err
}

// PutHost writes what was learned of a mail server.
func (s *Store) PutHost(name string, h Host) error {
	return s.update(func(tx *bolt.Tx) error {
		put(tx.Bucket(hosts), []byte(name), h)
		return nil
	})
}

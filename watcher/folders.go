package watcher

import (
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/watcher/wire"
)

// stirred looks at those of the other folders in which a server that tells of them (NOTIFY, RFC 5465) has new mail. It asks for their STATUS
// until none has any, with home open: what comes after the last answer is told. again: the server has given up telling, so it is asked to
// once more.
func (s *session) stirred(home string, again bool) (found int, err error) {
	if s.told = s.told && !again; !s.told {
		if s.told, err = s.subscribe(); err != nil || !s.told {
			return 0, err
		}
	}
	for range mostRounds {
		folders, err := s.behind(home)
		if err != nil || len(folders) == 0 {
			return found, err
		}
		for _, f := range folders {
			n, err := s.lookAside(f)
			if found += n; err != nil {
				return found, err
			}
		}
		n, err := s.look(home)
		if found += n; err != nil {
			return found, err
		}
	}
	return found, nil
}

// mostRounds bounds the rounds of stirred, should a server's STATUS never agree with what it shows.
const mostRounds = 10

// subscribe asks a server that can to tell of new mail in the other folders while the session waits in one.
func (s *session) subscribe() (told bool, err error) {
	if len(s.account.Folders) < 2 || !s.conn.Has("NOTIFY") {
		return false, nil
	}
	err = s.conn.Notify(s.account.Folders, patience)
	if refused, ok := errors.AsType[*imap.Error](err); ok {
		s.log.Info("NOTIFY refused, the other folders wait for the refresh", "err", wire.Clean(refused.Error()))
		return false, nil
	}
	return err == nil, err
}

// behind gives the other folders that hold what has not been looked at, by STATUS. One that the server refuses is left to the refresh.
func (s *session) behind(home string) (folders []string, err error) {
	err = s.conn.Lend(patience, func(client *imapclient.Client) error {
		commands := make(map[string]*imapclient.StatusCommand)
		for _, f := range s.account.Folders {
			if f != home && f != s.missing {
				commands[f] = client.Status(f, &imap.StatusOptions{UIDNext: true, UIDValidity: true})
			}
		}
		for f, command := range commands {
			data, err := command.Wait()
			if _, refused := errors.AsType[*imap.Error](err); refused {
				continue
			}
			if err != nil {
				return err
			}
			cursor, err := s.store.Cursor(s.account.ID, f)
			if err != nil {
				return &storeError{err}
			}
			next := uint32(data.UIDNext)
			if next > 0 && (data.UIDValidity != cursor.UIDValidity || cursor.Next > 0 && next > max(cursor.Next, s.ends[f])) {
				folders = append(folders, f)
			}
		}
		return nil
	})
	slices.Sort(folders)
	return folders, err
}

package registry

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"idlepush"
	"idlepush/registry/table"
)

func changedIndexes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// An entry of an index has the length of the prefix that its key shares with that of the row,
	// and then the rest.
	lead := func(t *testing.T, index string, key, row table.Prefix) *Store {
		dir := t.TempDir()
		for name, data := range h.made {
			putFile(t, filepath.Join(dir, name), data)
		}
		dumpFile(t, dir, map[string][]byte{index + " " + string(key.Append(nil)): row.Append([]byte{0})})
		s, err := Open(dir, unsynced)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	carl := idlepush.User{ID: "carl"}
	t.Run("from a user to the mailbox of another", func(t *testing.T) {
		s := lead(t, accountsOf.Name(), viewerKey{id(carl.ID), id(h.shared.ID)}, id(h.shared.ID))
		if list := allNotifications(t, s, carl, 50, noon); len(list) != 0 {
			t.Errorf("carl sees %d notifications", len(list))
		}
	})
	t.Run("from the id of a notification to one of another", func(t *testing.T) {
		var at notificationKey
		h.written(t, func(tx *table.Tx) error {
			keys, err := notifications.Keys(tx, table.Under(id(h.shared.ID)), 1)
			at = keys[0]
			return err
		})
		s := lead(t, byStableID.Name(), stableKey{id(carl.ID), "mine"}, at)
		if n, err := s.History.Get(carl.ID, "mine", noon); !errors.Is(err, ErrNotFound) {
			t.Errorf("carl sees %s, %v", n.Kind, err)
		}
	})
	t.Run("from a mailbox of one's own to that of another", func(t *testing.T) {
		mine := h.own
		mine.Owner, mine.Username = h.ben.ID, "mine"
		s := lead(t, accountsAt.Name(), mailboxOf(mine.Host, mine.Username), id(h.shared.ID))
		if a, added, err := s.Accounts.Add(mine, "", noon); err != nil || !added || a.ID == h.shared.ID {
			t.Errorf("it is shared: %v, %v", a.ID == h.shared.ID, err)
		}
	})
	t.Run("from an address of one's own to the device of another", func(t *testing.T) {
		mine := h.tablet
		mine.Address = "mine"
		s := lead(t, devicesAt.Name(), addressDigest(mine), deviceKey{id(h.ann.ID), id(h.phone.ID)})
		if d, created, err := s.Devices.Register(mine, "", noon); err != nil || !created || d.ID == h.phone.ID {
			t.Errorf("it takes the queue of the other: %v, %v", d.ID == h.phone.ID, err)
		}
	})
}

// untagged says why the rows of a table have no tag.
var untagged = map[string]string{
	asked.Name():         "how often an owner may offer mailboxes to a person, who can decline",
	guesses.Name():       "how many tries of a password are free",
	standings.Name():     "a state for display, which the watcher writes anew",
	senders.Name():       "who has written before: a rule for first mail matches or not",
	cursors.Name():       "how far a folder was handled: mail rings twice or not",
	hosts.Name():         "how long a connection may be silent: mail rings later",
	guesses.Name():       "how often a password was tried: whoever can write it tries more often",
	queues.Name():        "what waits, which Next checks against the rows of the device and of the account",
	lanes.Name():         "pauses, which end by themselves",
	notifications.Name(): "what they say is sealed for their scope, and who sees that is in the row of the account",
	deliveries.Name():    "outcomes for display, and what waits: see queues",
	trips.Name():         "how long pushes took, for display",
	metas.Name():         "all but the numbers of the format and the last sequence is sealed",
}

func otherTables(t *testing.T) {
	t.Parallel()
	for _, of := range tables {
		name := of.Name()
		isTarget := slices.ContainsFunc(targets, func(row target) bool { return row.name == name })
		if !strings.Contains(name, "/") && isTarget == (untagged[name] != "") {
			t.Errorf("%s has either a target or a reason", name)
		}
	}
}

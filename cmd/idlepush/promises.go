package main

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"idlepush/clocks"
	"idlepush/promise"
	"idlepush/registry"
	"idlepush/watcher"
)

// house knows which promises are broken. It may be used from several goroutines.
type house struct {
	store *registry.Store
	live  func(account string) watcher.Live
	loops pulse
	room  func() (bytes uint64, known bool) // on the disk of the store

	mu        sync.Mutex
	awake     time.Time            // since when the program runs, and the machine has not slept
	last      clocks.Reading       // by broken
	paused    map[string]time.Time // when each lane was last seen paused
	storeDown time.Time            // zero: the store worked when it was last looked at
	diskLow   time.Time            // zero: the disk was not nearly full then
}

func newHouse(store *registry.Store, pool *watcher.Pool, loops pulse) *house {
	return &house{store: store, live: pool.Live, loops: loops, room: func() (uint64, bool) { return 0, false },
		awake: time.Now(), last: clocks.Read(nil), paused: make(map[string]time.Time), diskLow: time.Now()}
}

// wake notes that the machine has slept, or that its clock was set.
func (h *house) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.awake, h.last = time.Now(), clocks.Read(nil)
}

// broken returns the promises that are broken at now.
func (h *house) broken(now time.Time) []promise.Broken { return h.look(now).Broken(now) }

// look returns the state of the server at now. What is old because the machine slept, or its clock
// was set, is not late. If the store cannot be read, there are no mailboxes and devices.
func (h *house) look(now time.Time) promise.House {
	is := promise.House{Looked: now.Add(-h.loops.age())}
	err := h.read(&is)
	if err == nil {
		err = h.store.Ready()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	reading := clocks.Read(nil)
	if clocks.Jumped(h.last, reading) {
		h.awake = now
	}
	h.last = reading
	switch {
	case err == nil:
		h.storeDown = time.Time{}
	case h.storeDown.IsZero():
		h.storeDown = now
	}
	switch room, known := h.room(); {
	case !known || !isLow(room, !h.diskLow.IsZero()):
		h.diskLow = time.Time{}
	case h.diskLow.IsZero():
		h.diskLow = now
	}
	for _, l := range is.Paused {
		h.paused[l.Name] = now
	}
	maps.DeleteFunc(h.paused, func(_ string, at time.Time) bool { return now.Sub(at) > promise.TellAfter })
	is.Awake, is.StoreDown, is.DiskLow, is.LastPaused = h.awake, h.storeDown, h.diskLow, maps.Clone(h.paused)
	return is
}

// notify probes a store that fails, and has users notified of troubles, every 20 seconds until ctx
// ends. It logs a failure once.
func (h *house) notify(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(aliveLook)
	defer ticker.Stop()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			h.store.Probe(now)
			is := h.look(now)
			if !is.StoreDown.IsZero() {
				continue // it lacks mailboxes and devices, and no notification can be stored
			}
			var err error
			if is.Admins, err = h.admins(); err == nil {
				err = h.store.Users.SetTroubles(is.Troubles(now), now)
			}
			if err != nil && !failed {
				log.Error("cannot notify users of what is broken; trying again", "err", err)
			}
			failed = err != nil
		}
	}
}

// read reads what the store and the sessions know.
func (h *house) read(is *promise.House) error {
	accounts, err := h.store.Mail.Accounts()
	if err != nil {
		return err
	}
	for _, a := range accounts {
		live := h.live(a.ID)
		is.Mailboxes = append(is.Mailboxes, promise.Mailbox{Account: a, Confirmed: live.Confirmed, Interval: live.Interval})
	}
	if is.Devices, err = h.store.Devices.List(""); err != nil {
		return err
	}
	is.Paused, err = h.store.Devices.Lanes()
	return err
}

// admins returns the ids of the admins.
func (h *house) admins() (ids []string, err error) {
	people, err := h.store.Users.List()
	for _, u := range people {
		if u.Admin {
			ids = append(ids, u.ID)
		}
	}
	return ids, err
}

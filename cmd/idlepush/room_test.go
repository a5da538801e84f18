package main

import (
	"testing"
	"time"

	"idlepush/registry/registrytest"
	"idlepush/watcher"
)

// TestDiskLow has the disk fill and empty again.
func TestDiskLow(t *testing.T) {
	t.Parallel()
	const never = -1
	for name, looks := range map[string][]struct {
		room  uint64
		since int // the look since which the disk is nearly full
	}{
		"it fills, and empties again":          {{lowRoom << 1, never}, {lowRoom, never}, {lowRoom - 1, 2}, {0, 2}, {lowRoomEnds - 1, 2}, {lowRoomEnds, never}, {lowRoom, never}},
		"it is nearly full at the start":       {{lowRoom - 1, 0}, {lowRoomEnds - 1, 0}, {lowRoomEnds, never}},
		"it may have been so before the start": {{lowRoomEnds - 1, 0}, {lowRoomEnds, never}, {lowRoomEnds - 1, never}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _, _ := registrytest.DirWithUsers(t)
			h := newHouse(registrytest.Open(t, dir), new(watcher.Pool), nil)
			var room uint64
			h.room = func() (uint64, bool) { return room, true }
			began := h.diskLow
			for i, look := range looks {
				room = look.room
				list := h.broken(began.Add(time.Duration(i) * time.Minute))
				switch {
				case look.since == never && len(list) > 0:
					t.Errorf("with %d MB %v is broken", room>>20, list)
				case look.since != never && (len(list) != 1 || list[0].Code != "disk_low" || !list[0].Since.Equal(began.Add(time.Duration(look.since)*time.Minute))):
					t.Errorf("with %d MB %v is broken, want disk_low since minute %d", room>>20, list, look.since)
				}
			}
		})
	}
}

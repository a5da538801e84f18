package promise

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

func TestTroubles(t *testing.T) {
	t.Parallel()
	paused := func(lane string, since time.Duration) func(*House) {
		return func(h *House) {
			h.Paused = append(h.Paused, registry.Lane{Name: lane, Since: ago(since), Until: now.Add(time.Minute), Reason: failed})
		}
	}
	device := func(st idlepush.Status) func(*House) { return func(h *House) { h.Devices[1].Status = st } }
	const down = "push_service_down one"
	for name, c := range map[string]struct {
		change []func(*House)
		want   []string // user, what it is about, and the devices on which it is told
	}{
		"all is well": {},
		"the disk is nearly full": {[]func(*House){func(h *House) { h.DiskLow = ago(1) }},
			[]string{"anna disk_low [old new]", "carl disk_low []"}},
		"the store fails":                                 {change: []func(*House){func(h *House) { h.StoreDown = ago(time.Hour) }}},
		"a push service was just paused":                  {[]func(*House){paused("one", 0)}, []string{"anna " + down + " []"}},
		"a push service takes nothing for almost an hour": {[]func(*House){paused("one", time.Hour-1)}, []string{"anna " + down + " []"}},
		"a push service takes nothing for an hour":        {[]func(*House){paused("one", time.Hour)}, []string{"anna " + down + " [new]"}},
		"a push service that nobody uses takes nothing":   {change: []func(*House){paused("another", time.Hour)}},
		"the only push service of a person takes nothing": {[]func(*House){paused("three", time.Hour)}, []string{"ben push_service_down three []"}},
		"all push services take nothing": {[]func(*House){paused("one", time.Hour), paused("two", time.Minute), paused("three", time.Hour)},
			[]string{"anna " + down + " []", "anna push_service_down two []", "ben push_service_down three []"}},
		"the device of another push service is suspect":      {[]func(*House){paused("one", time.Hour), device(idlepush.Status{State: idlepush.StateSuspect})}, []string{"anna " + down + " []"}},
		"pushes to the device of another push service fail":  {[]func(*House){paused("one", time.Hour), device(idlepush.Status{State: idlepush.StateProven, Failures: 1})}, []string{"anna " + down + " []"}},
		"the disk is nearly full, and a device never worked": {[]func(*House){func(h *House) { h.DiskLow = ago(1) }, device(idlepush.Status{State: idlepush.StateUnproven})}, []string{"anna disk_low [old]", "carl disk_low []"}},
		"another push service works again for a moment":      {[]func(*House){paused("one", time.Hour), func(h *House) { h.LastPaused = map[string]time.Time{"two": ago(time.Hour - 1)} }}, []string{"anna " + down + " []"}},
		"another push service works again for an hour":       {[]func(*House){paused("one", time.Hour), func(h *House) { h.LastPaused = map[string]time.Time{"two": ago(time.Hour)} }}, []string{"anna " + down + " [new]"}},
		"the program or the machine woke within that hour":   {[]func(*House){paused("one", 9*time.Hour), func(h *House) { h.Awake = ago(time.Hour - 1) }}, []string{"anna " + down + " []"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proven := idlepush.Status{State: idlepush.StateProven}
			h := House{Awake: ago(10 * time.Hour), Admins: []string{"anna", "carl"}, Devices: []idlepush.Device{
				{ID: "old", User: "anna", Lane: "one", Status: proven}, {ID: "new", User: "anna", Lane: "two", Status: proven}, {ID: "ben's", User: "ben", Lane: "three", Status: proven}}}
			for _, change := range c.change {
				change(&h)
			}
			var got []string
			known := codes.Join(Codes, []codes.Entry{{Code: failed.Code, Text: "it is busy"}})
			for _, one := range h.Troubles(now) {
				got = append(got, fmt.Sprint(one.User, " ", one.Key, " ", one.Devices))
				if err := known.Check(one.Code, one.Params); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("told is %q, want %q", got, c.want)
			}
		})
	}
}

package push

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	t.Run("it says of each mail what was decided last, and how often it rang", replayTable)
	t.Run("of mails that come together it says what a dispatcher does", replayBursts)
}

// atNight returns a mail that came in March 2026, by the clock of Berlin.
func atNight(clock string, f ring.Facts) ring.Mail {
	at, err := time.Parse("2006-01-02 15:04:05 -0700", "2026-03-"+clock+" +0100")
	if err != nil {
		panic(err)
	}
	return ring.Mail{Folder: "INBOX", UID: 1, At: at, Facts: f}
}

func replayTable(t *testing.T) {
	t.Parallel()
	ann, ben, news := ring.Facts{From: "ann@example.org"}, ring.Facts{From: "ben@example.org"}, ring.Facts{From: "news@example.com", Bulk: true}
	silentNews := ring.Wishes{People: []string{"ann@example.org"}, Rules: []ring.Rule{{If: ring.Match{Bulk: new(true)}, Then: ring.Action{Ring: ring.VolumeSilent}}}}
	hold := ring.DeviceWishes{Quiet: ring.Quiet{Zone: "Europe/Berlin", Hours: []ring.Hours{night}, Mode: ring.QuietHold, People: true}}
	six := func(day string, f ring.Facts) (list []ring.Mail) {
		for i := range 6 {
			m := atNight(day, f)
			m.UID, m.At = uint32(i+1), m.At.Add(time.Duration(i)*time.Second)
			list = append(list, m)
		}
		return list
	}
	for _, c := range []struct {
		name   string
		mails  []ring.Mail
		wishes ring.Wishes
		on     ring.DeviceWishes
		want   []string // of each mail; with a summary: " summed"
		rings  int
	}{
		{"none", nil, ring.Wishes{}, ring.DeviceWishes{}, nil, 0},
		{"without wishes", []ring.Mail{atNight("03 23:00:00", ann), atNight("04 06:59:59", ben)}, ring.Wishes{}, ring.DeviceWishes{}, []string{"now", "now"}, 2},
		{"one mail at night rings itself in the morning", []ring.Mail{atNight("03 23:00:00", ben)}, ring.Wishes{}, hold, []string{"now after quiet_hours"}, 1},
		{"two mails at night ring once", []ring.Mail{atNight("03 23:00:00", ben), atNight("04 06:59:59", ben)}, ring.Wishes{}, hold, []string{"now after quiet_hours summed", "now after quiet_hours summed"}, 1},
		{"the newest may come first", []ring.Mail{atNight("04 08:00:00", ben), atNight("04 06:59:59", ben), atNight("03 23:00:00", ben)}, ring.Wishes{}, hold,
			[]string{"now", "now after quiet_hours summed", "now after quiet_hours summed"}, 2},
		{"two nights ring twice", []ring.Mail{atNight("03 23:00:00", ben), atNight("04 02:00:00", ben), atNight("04 23:00:00", ben), atNight("05 02:00:00", ben)}, ring.Wishes{}, hold,
			[]string{"now after quiet_hours summed", "now after quiet_hours summed", "now after quiet_hours summed", "now after quiet_hours summed"}, 2},
		{"one who matters rings at night", []ring.Mail{atNight("03 23:00:00", ann), atNight("04 02:00:00", ben)}, silentNews, hold, []string{"now breaks_through", "now after quiet_hours"}, 2},
		{"a summary of silent mail is silent", []ring.Mail{atNight("03 23:00:00", news), atNight("04 02:00:00", news)}, silentNews, hold,
			[]string{"silent rule after quiet_hours summed", "silent rule after quiet_hours summed"}, 0},
		{"a summary that counts one mail that rings does, too", []ring.Mail{atNight("03 23:00:00", news), atNight("04 02:00:00", ben)}, silentNews, hold,
			[]string{"silent rule after quiet_hours summed", "now after quiet_hours summed"}, 1},
		{"silent mail does not ring", []ring.Mail{atNight("03 12:00:00", news)}, silentNews, hold, []string{"silent rule"}, 0},
		{"a night that has not ended", []ring.Mail{atNight("07 22:00:00", ben)}, ring.Wishes{}, hold, []string{"held quiet_hours"}, 0},
		{"a night that lasts for a week", []ring.Mail{atNight("03 12:00:00", ben), atNight("07 12:00:00", ben)}, ring.Wishes{},
			ring.DeviceWishes{Quiet: ring.Quiet{Hours: []ring.Hours{{Days: everyDay}}}}, []string{"held quiet_hours", "held quiet_hours"}, 0},
		{"a mail that expires before the hold ends", []ring.Mail{atNight("03 12:00:00", ben), atNight("06 12:00:00", ben)}, ring.Wishes{},
			ring.DeviceWishes{Quiet: ring.Quiet{Hours: []ring.Hours{{Days: []time.Weekday{2, 3, 4, 5}}}}}, []string{"held quiet_hours", "now after quiet_hours"}, 1},
		{"a burst", six("03 12:00:00", ben), ring.Wishes{}, hold, []string{"now", "now", "now after burst summed", "now after burst summed", "now after burst summed", "now after burst summed"}, 3},
		{"a burst that ends in the night", six("03 21:59:30", ben), ring.Wishes{}, hold, []string{"now", "now", "now after quiet_hours summed", "now after quiet_hours summed", "now after quiet_hours summed", "now after quiet_hours summed"}, 3},
		{"a burst of those who matter", six("03 12:00:00", ann), silentNews, hold, append([]string{"now person_matters", "now person_matters"}, slices.Repeat([]string{"now breaks_through"}, 4)...), 6},
		{"mail that notifies nobody", []ring.Mail{{Code: "junk", At: late}}, ring.Wishes{}, hold, []string{"not junk"}, 0},
		{"a mute that began and ended", []ring.Mail{atNight("03 11:59:59", ben), atNight("03 12:00:00", ben), atNight("03 13:00:00", ben)},
			ring.Wishes{Mutes: []ring.Mute{{Of: ring.MuteSender, Sender: "ben@example.org", Since: late.Add(-11 * time.Hour), Until: late.Add(-10 * time.Hour)}}}, hold,
			[]string{"now", "not muted", "now"}, 2},
		{"a mute that begins at night", []ring.Mail{atNight("03 23:00:00", ben), atNight("04 01:00:00", ben)},
			ring.Wishes{Mutes: []ring.Mute{{Of: ring.MuteMailbox, Since: late.Add(time.Hour)}}}, hold,
			[]string{"not muted after quiet_hours", "not muted"}, 0},
		{"a folder that is not wanted", []ring.Mail{atNight("03 12:00:00", ben)}, ring.Wishes{}, ring.DeviceWishes{Folders: map[string][]string{"account": {}}}, []string{"not folder_not_wanted"}, 0},
	} {
		r := Replay(c.mails, idlepush.Device{ID: "phone"}, "account", c.wishes, c.on, 2, late.Add(4*24*time.Hour+2*time.Hour))
		var got []string
		for i, d := range r.Decisions {
			text := string(d.Verdict)
			if d.Code != "" {
				text += " " + string(d.Code)
			}
			if d.Waited != nil {
				text += " after " + string(d.Waited.Code)
			}
			if r.Summed[i] {
				text += " summed"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) || r.Rings != c.rings {
			t.Errorf("%s: %q and %d rings, want %q and %d", c.name, got, r.Rings, c.want, c.rings)
		}
	}
}

func replayBursts(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	for range testenv.Tenth(30) {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			h.limit = 1 + r.IntN(4)
			phone := h.phone("phone")
			h.run()
			var mails []ring.Mail
			var ids []string
			for range 40 {
				mails = append(mails, ring.Mail{Folder: "INBOX", UID: h.uid, At: time.Now()})
				ids = append(ids, h.mail(1)...)
				after([]time.Duration{0, 1, 700, 5300, 9100, 61700}[r.IntN(6)] * time.Millisecond)
			}
			after(time.Hour)
			got := Replay(mails, phone, h.account.ID, ring.Wishes{}, ring.DeviceWishes{}, h.limit, time.Now())
			for i, id := range ids {
				if state := h.delivery(id, phone).State; (state == idlepush.DeliveryCombined) != got.Summed[i] {
					t.Errorf("mail %d of %d at %v is %s, and summed: %v", i+1, len(ids), mails[i].At, state, got.Summed[i])
				}
			}
			if sends := len(h.sends()); sends != got.Rings {
				t.Errorf("it rang %d times, not %d: %v", sends, got.Rings, fmt.Sprint(h.rung(phone, mails[0].At)))
			}
		})
	}
}

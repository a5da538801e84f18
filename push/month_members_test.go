package push

import (
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

// monthBurst is the burst-limit of the household.
const monthBurst = 3

// letters are the kinds of mail that come to the household. What people wish of them is said twice:
// as rules, and by kind in what each member expects.
var letters = map[string]ring.Facts{
	"friend":     {From: "lena@friends.example", Name: "Lena", Subject: "Sunday?"},
	"school":     {From: "office@mail.school.example", Name: "School", Subject: "Trip to the museum", To: []string{"parents@school.example"}},
	"newsletter": {From: "news@shop.example", Name: "Shop", Subject: "Forty new things", List: "news.shop.example", Bulk: true},
	"alarm":      {From: "nas@home.example", Name: "NAS", Subject: "DISK FAILURE on volume 1"},
	"bill":       {From: "billing@power.example", Name: "Power", Subject: "Votre facture d’électricité", Attachment: true, Size: 300_000},
	"talk":       {From: "tom@club.example", Name: "Tom", Subject: "Re: Fence", Thread: []string{"fence", "fence-2"}, Answer: true},
	"stranger":   {Name: "Someone", Subject: "Hello"}, // with another address each time
}

var kinds = []string{"friend", "school", "newsletter", "alarm", "bill", "talk", "stranger"}

// member is a person of the household.
type member struct {
	name    string
	wishes  ring.Wishes
	expects map[string]expected // by kind; a kind that is not there rings
	// first is expected of the first mail of a sender, unless it is an answer or in expects; zero:
	// it rings.
	first expected
}

// expected is what a member wants of mail at a time that is not quiet.
type expected struct {
	verdict ring.Verdict
	passes  bool // quiet hours and bursts
	why     codes.Code
	which   string // the case of why
}

// members are a family of five, each with a mailbox.
var members = []member{
	{name: "Anna", wishes: ring.Wishes{
		People: []string{"@school.example"},
		Rules: []ring.Rule{
			{If: ring.Match{Bulk: new(true)}, Then: ring.Action{Ring: ring.VolumeNot}},
			{If: ring.Match{Subject: []string{"disk failure"}}, Then: ring.Action{Ring: ring.VolumeLoud}},
		},
	}, expects: map[string]expected{
		"school":     {ring.Now, true, codePerson, ""},
		"newsletter": {ring.Not, false, codeRule, "not"},
		"alarm":      {ring.Now, true, codeRule, "loud"},
	}},
	{name: "Ben", wishes: ring.Wishes{
		People:    []string{"lena@friends.example"},
		Rules:     []ring.Rule{{If: ring.Match{Subject: []string{"FACTURE D’ELECTRICITE"}, Attachment: new(true)}, Then: ring.Action{Ring: ring.VolumeNormal}}},
		Otherwise: ring.Action{Ring: ring.VolumeNot},
	}, expects: map[string]expected{
		"friend":     {ring.Now, true, codePerson, ""},
		"bill":       {ring.Now, false, codeRule, "ring"},
		"school":     {ring.Not, false, codeOtherwise, "not"},
		"newsletter": {ring.Not, false, codeOtherwise, "not"},
		"alarm":      {ring.Not, false, codeOtherwise, "not"},
		"talk":       {ring.Not, false, codeOtherwise, "not"},
		"stranger":   {ring.Not, false, codeOtherwise, "not"},
	}},
	{name: "Cleo"},
	{name: "Dan", wishes: ring.Wishes{
		Rules: []ring.Rule{
			{If: ring.Match{List: []string{"shop"}}, Then: ring.Action{Ring: ring.VolumeSilent}},
			{If: ring.Match{First: new(true), Answer: new(false)}, Then: ring.Action{Ring: ring.VolumeSilent}},
		},
	}, expects: map[string]expected{
		"newsletter": {ring.Silent, false, codeRule, "silent"},
	}, first: expected{ring.Silent, false, codeRule, "silent"}},
	{name: "Eve", wishes: ring.Wishes{Mutes: []ring.Mute{{Of: ring.MuteConversation, Thread: []string{"fence"}}}}, expects: map[string]expected{
		"talk": {ring.Not, false, codeMuted, "conversation_for_ever"},
	}},
}

// telephone is a device of the household.
type telephone struct {
	owner     int // of members
	transport idlepush.Transport
	zone      string
	hours     []ring.Hours
	mode      ring.QuietMode
	people    bool
	quiet     func(local time.Time) bool // the same as hours
}

func isNight(local time.Time) bool { return local.Hour() >= 22 || local.Hour() < 7 }

func never(time.Time) bool { return false }

// telephones are twelve devices in four zones. The month has an end of daylight saving time.
var telephones = func() []telephone {
	nights := []ring.Hours{{Days: everyDay, From: 22 * 60, To: 7 * 60}}
	weekend := []ring.Hours{{Days: []time.Weekday{time.Saturday, time.Sunday}, From: 0, To: 0}}
	isWeekend := func(t time.Time) bool { return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday }
	work := []ring.Hours{{Days: []time.Weekday{1, 2, 3, 4, 5}, From: 8*60 + 30, To: 12 * 60}, {Days: []time.Weekday{1, 2, 3, 4, 5}, From: 13 * 60, To: 17*60 + 15}}
	atWork := func(t time.Time) bool {
		m := t.Hour()*60 + t.Minute()
		return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && (m >= 510 && m < 720 || m >= 780 && m < 1035)
	}
	return []telephone{
		{0, "fcm", "Europe/Berlin", nights, ring.QuietHold, true, isNight},
		{0, "webpush", "Europe/Berlin", nil, "", false, never},
		{0, "apns", "Europe/Berlin", nights, ring.QuietSilent, false, isNight},
		{1, "apns", "Europe/Berlin", nights, ring.QuietHold, true, isNight},
		{1, "unifiedpush", "Europe/Berlin", weekend, ring.QuietHold, false, isWeekend},
		{2, "fcm", "America/New_York", nights, ring.QuietHold, true, isNight},
		{2, "apns", "America/New_York", nights, ring.QuietSilent, true, isNight},
		{3, "fcm", "Asia/Kolkata", work, ring.QuietHold, true, atWork},
		{3, "webpush", "Asia/Kolkata", nights, ring.QuietHold, true, isNight},
		{3, "unifiedpush", "Asia/Kolkata", nil, "", false, never},
		{4, "fcm", "Europe/Berlin", nights, ring.QuietHold, false, isNight},
		{4, "apns", "Australia/Lord_Howe", work, ring.QuietSilent, true, atWork},
	}
}()

package web

import (
	"fmt"
	"slices"

	"idlepush/ring"
)

// wishing returns wishes with one field more.
func wishing(field string, value any) object { return object{"revision": 0}.with(field, value) }

// ruled returns wishes with a rule that asks for one thing.
func ruled(field string, value any) object {
	return wishing("rules", []object{{"if": object{field: value}, "then": object{"ring": "not"}}})
}

// quietly returns wishes of a device with quiet hours in which one field is another.
func quietly(field string, value any) object {
	return wishing("quiet", object{"zone": "Europe/Berlin", "mode": "hold", "hours": []object{nightly("from", "22:00")}}.with(field, value))
}

// nightly returns hours in which one field is another.
func nightly(field string, value any) object {
	return object{"days": []string{"mon", "fri"}, "from": "22:00", "to": "07:00"}.with(field, value)
}

// fill returns n texts that differ.
func fill(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("p%d@example.org", i))
	}
	return list
}

// wishRefusals are like refusals.
var wishRefusals = []refusal{
	{"PUT /accounts/ACCOUNT/wishes", "revision", object{}},
	{"PUT /accounts/ACCOUNT/wishes", "revision", object{"revision": -1}},
	{"PUT /accounts/ACCOUNT/wishes", "revision", object{"revision": "1"}},
	{"PUT /accounts/ACCOUNT/wishes", "revision", object{"revision": 1.5}},
	{"PUT /accounts/ACCOUNT/wishes", "mutes", wishing("mutes", []object{})},
	{"PUT /accounts/ACCOUNT/wishes", "colour", wishing("colour", "#123456")},
	{"PUT /accounts/ACCOUNT/wishes", "name", wishing("name", " ")},
	{"PUT /accounts/ACCOUNT/wishes", "name", wishing("name", "a\u0000b")},
	{"PUT /accounts/ACCOUNT/wishes", "name", wishing("name", long(101))},
	{"PUT /accounts/ACCOUNT/wishes", "color", wishing("color", "blue")},
	{"PUT /accounts/ACCOUNT/wishes", "color", wishing("color", "#12345g")},
	{"PUT /accounts/ACCOUNT/wishes", "color", wishing("color", "#1234567")},
	{"PUT /accounts/ACCOUNT/wishes", "color", wishing("color", 17)},
	{"PUT /accounts/ACCOUNT/wishes", "sound", wishing("sound", "../../etc/passwd")},
	{"PUT /accounts/ACCOUNT/wishes", "sound", wishing("sound", ".caf")},
	{"PUT /accounts/ACCOUNT/wishes", "sound", wishing("sound", long(65))},
	{"PUT /accounts/ACCOUNT/wishes", "people", wishing("people", fill(ring.MaxPeople+1))},
	{"PUT /accounts/ACCOUNT/wishes", "people", wishing("people", "oma@example.org")},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{""})},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{"Oma"})},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{"@"})},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{"@münchen.example"})},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{"@192.0.2.1"})},
	{"PUT /accounts/ACCOUNT/wishes", "people[1]", wishing("people", []string{"oma@example.org", "Oma <oma>"})},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{"o\u200bma@example.org"})},
	{"PUT /accounts/ACCOUNT/wishes", "people[0]", wishing("people", []string{long(243) + "@example.org"})},
	{"PUT /accounts/ACCOUNT/wishes", "rules", wishing("rules", slices.Repeat([]object{{"if": object{"bulk": true}, "then": object{"ring": "not"}}}, ring.MaxRules+1))},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if", wishing("rules", []object{{"then": object{"ring": "not"}}})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].then", wishing("rules", []object{{"if": object{"bulk": true}}})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if", wishing("rules", []object{{"if": object{}, "then": object{"ring": "not"}}})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].then.ring", wishing("rules", []object{{"if": object{"bulk": true}, "then": object{}}})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].then.ring", wishing("rules", []object{{"if": object{"bulk": true}, "then": object{"ring": "shout"}}})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].then.content", wishing("rules", []object{{"if": object{"bulk": true}, "then": object{"ring": "ring", "content": "all"}}})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.size", ruled("size", 1)},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.from", ruled("from", []string{})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.to", ruled("to", fill(ring.MaxTexts+1))},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.subject[0]", ruled("subject", []string{"\t "})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.subject[1]", ruled("subject", []string{"a", "b\nc"})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.words[0]", ruled("words", []string{long(ring.MaxText + 1)})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.list[0]", ruled("list", []string{""})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.folder[1]", ruled("folder", []string{"INBOX", "Schule"})},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.bulk", ruled("bulk", "yes")},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.above", ruled("above", 0)},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.below", ruled("below", 1e13)},
	{"PUT /accounts/ACCOUNT/wishes", "rules[0].if.below", wishing("rules", []object{{"if": object{"above": 10, "below": 11}, "then": object{"ring": "not"}}})},
	{"PUT /accounts/ACCOUNT/wishes", "otherwise.ring", wishing("otherwise", object{"ring": ""})},
	{"PUT /accounts/ACCOUNT/wishes", "otherwise.loud", wishing("otherwise", object{"ring": "ring", "loud": true})},
	{"POST /accounts/ACCOUNT/mutes", "of", object{}},
	{"POST /accounts/ACCOUNT/mutes", "of", object{"of": "folder"}},
	{"POST /accounts/ACCOUNT/mutes", "sender", object{"of": "mailbox", "sender": "oma@example.org"}},
	{"POST /accounts/ACCOUNT/mutes", "sender", object{"of": "sender", "sender": "@example.org"}},
	{"POST /accounts/ACCOUNT/mutes", "sender", object{"of": "sender", "sender": "oma@example.org", "notification": "NOTIFICATION"}},
	{"POST /accounts/ACCOUNT/mutes", "notification", object{"of": "mailbox", "notification": "NOTIFICATION"}},
	{"POST /accounts/ACCOUNT/mutes", "notification", object{"of": "sender"}},
	{"POST /accounts/ACCOUNT/mutes", "notification", object{"of": "sender", "notification": marker}},
	{"POST /accounts/ACCOUNT/mutes", "notification", object{"of": "conversation"}},
	{"POST /accounts/ACCOUNT/mutes", "notification", object{"of": "conversation", "notification": marker}},
	{"POST /accounts/ACCOUNT/mutes", "device", object{"of": "mailbox", "device": marker}},
	{"POST /accounts/ACCOUNT/mutes", "until", object{"of": "mailbox", "until": "tomorrow"}},
	{"POST /accounts/ACCOUNT/mutes", "until", object{"of": "mailbox", "until": "2001-02-03T04:05:06Z"}},
	{"POST /accounts/ACCOUNT/mutes", "until", object{"of": "mailbox", "until": "9999-12-31T23:59:59-23:00"}},
	{"PUT /devices/DEVICE/wishes", "revision", object{}},
	{"PUT /devices/DEVICE/wishes", "loud", wishing("loud", true)},
	{"PUT /devices/DEVICE/wishes", "heartbeat.every", wishing("heartbeat", object{"every": "hour", "at": "08:00", "zone": "Europe/Berlin"})},
	{"PUT /devices/DEVICE/wishes", "heartbeat.at", wishing("heartbeat", object{"every": "day", "at": "8:00", "zone": "Europe/Berlin"})},
	{"PUT /devices/DEVICE/wishes", "heartbeat.zone", wishing("heartbeat", object{"every": "day", "at": "08:00", "zone": "Local"})},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", nil)},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "Local")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "localtime")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "posix/Europe/Berlin")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "Europe/../Europe/Berlin")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "/usr/share/zoneinfo/Europe/Berlin")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", "Europe/Entenhausen")},
	{"PUT /devices/DEVICE/wishes", "quiet.zone", quietly("zone", long(65))},
	{"PUT /devices/DEVICE/wishes", "quiet.mode", quietly("mode", nil)},
	{"PUT /devices/DEVICE/wishes", "quiet.mode", quietly("mode", "vibrate")},
	{"PUT /devices/DEVICE/wishes", "quiet.people", quietly("people", 1)},
	{"PUT /devices/DEVICE/wishes", "quiet.hours", quietly("hours", nil)},
	{"PUT /devices/DEVICE/wishes", "quiet.hours", quietly("hours", slices.Repeat([]object{nightly("from", "22:00")}, ring.MaxHours+1))},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[0].days", quietly("hours", []object{nightly("days", []string{})})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[0].days[0]", quietly("hours", []object{nightly("days", []string{"monday"})})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[1].from", quietly("hours", []object{nightly("from", "22:00"), nightly("from", "24:00")})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[0].from", quietly("hours", []object{nightly("from", "22:60")})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[0].to", quietly("hours", []object{nightly("to", "7:00")})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[0].to", quietly("hours", []object{nightly("to", "07.00")})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours[0].to", quietly("hours", []object{nightly("to", 7)})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours", quietly("hours", []object{{"days": weekdays, "from": "12:00", "to": "12:00"}})},
	{"PUT /devices/DEVICE/wishes", "quiet.hours", quietly("hours", []object{{"days": []string{"sat", "sun"}, "from": "00:00", "to": "00:00"}, {"days": []string{"fri"}, "from": "17:00", "to": "00:00"}, {"days": []string{"mon"}, "from": "00:00", "to": "09:01"}})},
	{"PUT /devices/DEVICE/wishes", "folders", wishing("folders", object{marker: []string{"INBOX"}})},
	{"PUT /devices/DEVICE/wishes", "folders", wishing("folders", []string{"INBOX"})},
}

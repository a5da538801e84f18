package codes

import (
	"slices"
	"testing"
)

func TestSentence(t *testing.T) {
	t.Parallel()
	table := Join([]Entry{
		{Code: "plain", Text: "It is over."},
		{Code: "filled", Text: "{host} answers {status} on {bad_day}."},
		{Code: "many", Text: "It is so.", Cases: map[string]string{"other": "It is so on {host}."}},
		{Code: "outer", Text: "{device} is gone: {cause}"},
	}, []Entry{{Code: "plain", Text: "It is all over."}})
	for _, c := range []struct {
		name   string
		code   Code
		params map[string]string
		want   string
	}{
		{"no code, no sentence", "", map[string]string{Account: "ann@example.org"}, ""},
		{"of two entries the later counts", "plain", nil, "It is all over."},
		{"parameters are filled in once", "filled", map[string]string{"host": "{status}", "status": "503", "bad_day": "{}"}, "{status} answers 503 on {}."},
		{"a missing parameter is called by its name", "filled", nil, "host answers status on bad day."},
		{"the case selects a sentence", "many", map[string]string{Case: "other", "host": "mx"}, "It is so on mx."},
		{"an unknown case is the first sentence", "many", map[string]string{Case: "none"}, "It is so."},
		{"the cause is a sentence with the same parameters", "outer", map[string]string{"device": "Phone", Cause: "filled", "host": "mx", "status": "1", "bad_day": "2"},
			"Phone is gone: mx answers 1 on 2."},
		{"a cause has no cause", "outer", map[string]string{"device": "Phone", Cause: "outer"}, "Phone is gone: Phone is gone: outer"},
		{"the account precedes and the server's words follow", "plain", map[string]string{Account: "ann@example.org", Said: "no {host}"},
			`ann@example.org: It is all over. (the server says: "no {host}")`},
		{"an unknown code is shown", "old_code", nil, "Something happened that this version has no words for: old_code."},
		{"so is an unknown cause", "outer", map[string]string{"device": "Phone", Cause: "old"}, "Phone is gone: Something happened that this version has no words for: old."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := table.Sentence(c.code, c.params); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	for _, c := range []struct {
		code   Code
		params map[string]string
		wrong  string
	}{
		{"plain", nil, ""},
		{"plain", map[string]string{Account: "a", Said: "b"}, ""},
		{"plain", map[string]string{"host": "a"}, `"plain" does not name the parameter "host"`},
		{"many", map[string]string{Case: "other"}, `"many" lacks its parameter "host"`},
		{"many", map[string]string{Case: "none"}, `"many" has no case "none"`},
		{"outer", map[string]string{"device": "a", Cause: "filled", "host": "b"}, ""},
		{"outer", map[string]string{"device": "a", Cause: "many", Case: "other", "host": "b"}, ""},
		{"none", nil, `"none" has no sentence`},
	} {
		if err := table.Check(c.code, c.params); err == nil && c.wrong != "" || err != nil && err.Error() != c.wrong {
			t.Errorf("%s with %v: %v, want %s", c.code, c.params, err, c.wrong)
		}
	}
	if got := table["outer"].Params(); !slices.Equal(got, []string{"cause", "device"}) {
		t.Errorf("the parameters are %q", got)
	}
	if got := table["many"].Params(); !slices.Equal(got, []string{"case", "host"}) {
		t.Errorf("the parameters are %q", got)
	}
	if got := table.Codes(); !slices.Equal(got, []Code{"filled", "many", "outer", "plain"}) {
		t.Errorf("the codes are %q", got)
	}
}

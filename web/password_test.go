package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPasswords(t *testing.T) {
	t.Parallel()
	t.Run("those that are guessed first are refused", passwordsGuessed)
	t.Run("all others are taken", passwordsTaken)
	t.Run("wherever one is set", passwordsEverywhere)
	t.Run("the list holds common ones only, in lower case", passwordsListed)
}

func passwordsGuessed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, password, reason string }{
		{"Anna", "annaannaanna", caseOwnName},
		{"Anna", "AnnaAnna2019", caseOwnName},
		{"Anna", "2019 anna 2019", caseOwnName},
		{"Anna", "anna!!!!!!!", caseOwnName},
		{"Karl", "lrak123456", caseOwnName},
		{"Karl", "karl-lrak-1984", caseOwnName},
		{"Zoë Müller", "zoemuller1", caseOwnName},
		{"Zoë Müller", "MÜLLER 1984", caseOwnName},
		{"Zoë Müller", "rellum-eoz", caseOwnName},
		{"Анна", "АннаАнна12", caseOwnName},
		{"anna.b", "Anna.B.1984", caseOwnName},

		{"Ben", "1234567890", ""},
		{"Ben", "0987654321", ""},
		{"Ben", "2718281828", ""},
		{"Ben", "01/02/1984", ""},
		{"Ben", "+49 30 123456", ""},
		{"Ben", "aaaaaaaaaa", ""},
		{"Ben", "abcabcabcabc", ""},
		{"Ben", "hunter2hunter2", ""},
		{"Ben", "abcdefghij", ""},
		{"Ben", "zyxwvutsrq", ""},
		{"Ben", "qwertyuiop", ""},
		{"Ben", "QWERTZUIOP", ""},
		{"Ben", "azertyuiop", ""},
		{"Ben", "asdfghjkl1", ""},
		{"Ben", "qweasdzxc123", ""},
		{"Ben", "1qaz2wsx3edc", ""},
		{"Ben", "1q2w3e4r5t6y", ""},
		{"Ben", "qwerty12345", ""},
		{"Ben", "password12", ""},
		{"Ben", "Password123!", ""},
		{"Ben", "P@ssw0rd2024", ""},
		{"Ben", "passw0rd12", ""},
		{"Ben", "2024football", ""},
		{"Ben", "!!!liverpool!!!", ""},
		{"Ben", "michael19840312", ""},
		{"Ben", "sunshine123456789", ""},
		{"Ben", "manchester", ""},
		{"Ben", "gfhjkmgfhjkm", ""},
		{"Ben", "idlepush2026", ""},
	} {
		err := checkPassword("password", row.name, row.password)
		f, _ := err.(FieldError)
		if f.Field != "password" || f.Code != "field_weak_password" || f.Params["case"] != row.reason {
			t.Errorf("%s of %s: %v, case %q", row.password, row.name, err, f.Params["case"])
		}
	}
}

func passwordsTaken(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{
		{"Anna", password},
		{"Anna", "a long passphrase"},
		{"Anna", "correct horse battery staple"},
		{"Anna", "anna eats soup"},
		{"Anna", "savannah wind"},
		{"Al", "a lake in the snow"},
		{"007", "bond, james bond"},
		{"李", "李白 drinks alone"},
		{"Ben", "Tr0ub4dor&3"},
		{"Ben", "9XkqpL2vRt"},
		{"Ben", "dGf83-kPq2"},
		{"Ben", "qwerty is no password"},
		{"Ben", "michael takes 12 eggs"},
		{"Ben", "Übermorgen regnet es"},
		{"Ben", "пароль для дома 7"},
	} {
		if err := checkPassword("password", row[0], row[1]); err != nil {
			t.Errorf("%s of %s: %v", row[1], row[0], err)
		}
	}
}

func passwordsEverywhere(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	code := h.call(h.anna.full, "POST", "/invites", object{"for": "person"}, 201).body["code"].(string)
	for _, r := range []struct {
		token, method, path string
		body                object
	}{
		{"", "POST", "/setup", object{"token": "x", "name": "Carl"}},
		{"", "POST", "/invites/accept", object{"code": code, "name": "Carl"}},
		{h.anna.full, "POST", "/users", object{"name": "Carl"}},
		{h.anna.full, "PATCH", "/me", object{"name": "Carl", "current_password": password}},
	} {
		for _, weak := range []string{"password123", "carl-carl-carl"} {
			a := h.call(r.token, r.method, r.path, r.body.with("password", weak), http.StatusUnprocessableEntity)
			a.wantFields(t, "password")
			if !strings.Contains(a.raw, "field_weak_password") {
				t.Errorf("%s %s: %s", r.method, r.path, a.raw)
			}
		}
	}
	h.call(h.anna.full, "PATCH", "/me", object{"current_password": password, "password": "anna1234567"}, http.StatusUnprocessableEntity).wantFields(t, "password")
	_, link, err := h.store.Logins.AddPasswordLink(h.ben.id, h.anna.id, "", time.Now())
	fatal(t, err)
	for _, weak := range []string{"password123", "ben1234567"} {
		h.call("", "POST", "/invites/accept", object{"code": link, "password": weak}, http.StatusUnprocessableEntity).wantFields(t, "password")
	}
	h.call("", "POST", "/login", object{"name": "Anna", "password": password}, http.StatusOK)
}

func passwordsListed(t *testing.T) {
	t.Parallel()
	long := 0
	for word := range common() {
		if word != foldPassword(word) || word == "" {
			t.Errorf("%q is not as passwords are compared", word)
		}
		if len(word) >= 10 {
			long++
		}
	}
	if long < 1500 || len(common()) < 4500 {
		t.Errorf("it has %d passwords, of which %d have ten characters", len(common()), long)
	}
}

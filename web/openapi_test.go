package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

// document is the OpenAPI document as a client reads it.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Security    []map[string]any
		RequestBody struct{ Content map[string]media }
		Responses   map[string]struct{ Content map[string]media }
	}
	Components struct{ Schemas map[string]*schema }
}

type media struct{ Schema *schema }

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Format               string
	Enum                 []any
	Items                *schema
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties any
}

// documented returns the document, which is the same for every server.
var documented = sync.OnceValues(func() (*document, error) {
	w := httptest.NewRecorder()
	New(Config{PublicURL: func() string { return "" }, Version: "test", Codes: allCodes, Push: PushConfig{Transports: transports}, Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, httptest.NewRequest("GET", prefix+"/openapi.json", nil))
	doc := new(document)
	return doc, json.Unmarshal(w.Body.Bytes(), doc)
})

// check checks an answer against the document.
func (d *document) check(t testing.TB, method, path string, a answer) {
	t.Helper()
	if a.body == nil {
		return
	}
	content := map[string]media{"application/problem+json": {&schema{Ref: "#/components/schemas/Problem"}}}
	for template, operations := range d.Paths {
		op, ok := operations[strings.ToLower(method)]
		if !ok || !matches(template, strings.TrimPrefix(path, prefix)) {
			continue
		}
		response, ok := op.Responses[fmt.Sprint(a.status)]
		if !ok && a.status < 400 {
			t.Errorf("%s %s: status %d is not documented", method, template, a.status)
		} else if ok {
			content = response.Content
		}
	}
	if path == prefix+"/openapi.json" && a.status == 200 {
		return
	}
	m, ok := content[a.header.Get("Content-Type")]
	if !ok {
		t.Errorf("%s %s: type %q is not documented for %d", method, path, a.header.Get("Content-Type"), a.status)
		return
	}
	d.value(t, fmt.Sprintf("%s %s %d", method, path, a.status), m.Schema, a.body)
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") && g != "check" && g != "look" })
}

// value checks that a value matches the schema and that every property is documented.
func (d *document) value(t testing.TB, at string, s *schema, v any) {
	t.Helper()
	if s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	if got := typeOf(v); got != s.Type {
		t.Errorf("%s: it is %v, want %v", at, got, s.Type)
		return
	}
	if s.AdditionalProperties == true { // another standard documents it
		return
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		t.Errorf("%s: %v is not in %v", at, v, s.Enum)
	}
	switch v := v.(type) {
	case string:
		if s.Format == "date-time" {
			if at2, err := time.Parse(time.RFC3339, v); err != nil || at2.IsZero() || !strings.HasSuffix(v, "Z") {
				t.Errorf("%s: %q is no RFC 3339 time in UTC", at, v)
			}
		}
	case []any:
		for i, item := range v {
			d.value(t, fmt.Sprintf("%s[%d]", at, i), s.Items, item)
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s: %s is missing", at, name)
			}
		}
		for name, property := range v {
			if of, anyName := s.AdditionalProperties.(map[string]any); anyName {
				if got := typeOf(property); got != of["type"] {
					t.Errorf("%s.%s: it is %v, want %v", at, name, got, of["type"])
				}
			} else if p, ok := s.Properties[name]; !ok {
				t.Errorf("%s: %s is not documented", at, name)
			} else {
				d.value(t, at+"."+name, p, property)
			}
		}
	}
}

func typeOf(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	t.Run("the document is testdata/openapi.json", openAPIGolden)
	t.Run("every operation is described", openAPIOperations)
	t.Run("it refers to nothing outside", openAPISelfContained)
}

func openAPIGolden(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	got := h.call("", "GET", "/openapi.json", nil, 200).raw
	const golden = "testdata/openapi.json"
	if *update {
		fatal(t, os.WriteFile(golden, []byte(got+"\n"), 0o644))
	}
	want, err := os.ReadFile(golden)
	fatal(t, err)
	if strings.TrimSpace(string(want)) != strings.TrimSpace(got) {
		t.Error("the OpenAPI document differs from testdata/openapi.json: run go test ./web -run OpenAPI -update and look at the difference")
	}
}

// operations lists the API for which phones and apps are built.
var operations = strings.Fields(`
	get/setup post/setup post/login delete/login post/proof get/me patch/me delete/me/notice
	post/login/passkey post/passkeys/challenge post/passkeys/options get/passkeys post/passkeys patch/passkeys/{id} delete/passkeys/{id}
	get/sessions delete/sessions/{id}
	get/users get/users/names post/users patch/users/{id} delete/users/{id}
	get/advice get/state get/invites post/invites delete/invites/{id} post/invites/look post/invites/accept
	get/tokens post/tokens delete/tokens/{id}
	post/accounts/discover post/accounts/check get/accounts post/accounts get/accounts/{id} get/accounts/{id}/folders post/accounts/{id}/examine patch/accounts/{id} delete/accounts/{id}
	get/accounts/{id}/wishes put/accounts/{id}/wishes post/accounts/{id}/mutes delete/accounts/{id}/mutes/{mute} post/accounts/{id}/rules/try
	get/devices/{id}/wishes put/devices/{id}/wishes
	get/clients patch/clients/{provider}
	post/consents get/consents/{id} delete/consents/{id}
	get/offers post/offers/{id}/accept delete/offers/{id}
	get/devices post/devices get/devices/{id} patch/devices/{id} delete/devices/{id} post/devices/{id}/test get/devices/{id}/preview
	get/notifications get/notifications/{id} post/receipts/{token} get/events get/vapid`)

// bodiless are the operations by POST that take no body.
var bodiless = []string{"post/accounts/{id}/examine", "post/devices/{id}/test", "post/offers/{id}/accept", "post/passkeys/challenge"}

func openAPIOperations(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	if h.doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %q, want 3.1.0", h.doc.OpenAPI)
	}
	var found []string
	for path, ops := range h.doc.Paths {
		for method, op := range ops {
			at := method + path
			found = append(found, at)
			if !slices.Contains(operations, at) {
				t.Errorf("%s is documented, but is no operation of the API", at)
			}
			if method == "post" && !slices.Contains(bodiless, at) || method == "patch" || method == "put" {
				if op.RequestBody.Content["application/json"].Schema == nil {
					t.Errorf("%s has no schema for its body", at)
				}
			}
			if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
				t.Errorf("%s does not say what an error looks like", at)
			}
			_, empty := op.Responses["204"]
			if ok := op.Responses["200"].Content["application/json"].Schema != nil || op.Responses["200"].Content["text/event-stream"].Schema != nil || op.Responses["201"].Content["application/json"].Schema != nil; ok == empty {
				t.Errorf("%s does not say what success looks like", at)
			}
			if open := slices.Contains([]string{"get/setup", "post/setup", "get/vapid", "post/login", "post/login/passkey", "post/passkeys/challenge", "post/invites/look", "post/invites/accept", "post/receipts/{token}"}, at); open != (op.Security == nil) {
				t.Errorf("%s: whether it needs a token is documented wrong", at)
			}
		}
	}
	for _, at := range operations {
		if !slices.Contains(found, at) {
			t.Errorf("%s is not documented", at)
		}
	}
	for name, s := range h.doc.Components.Schemas {
		for property := range s.Properties {
			if strings.ToLower(property) != property && property != "expirationTime" || strings.HasPrefix(property, "$") {
				t.Errorf("%s.%s is not snake_case", name, property)
			}
		}
		if s.Type == "object" && s.AdditionalProperties != false {
			t.Errorf("%s takes unknown fields", name)
		}
	}
}

func openAPISelfContained(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	for _, path := range []string{"/docs", "/schemas/Account.json", "/openapi.yaml", "/openapi-3.0.json"} {
		h.call("", "GET", path, nil, http.StatusNotFound)
	}
	raw := h.call("", "GET", "/openapi.json", nil, 200).raw
	if bytes.Contains([]byte(raw), []byte("$schema")) || strings.Contains(raw, "ErrorModel") {
		t.Error("the document has huma's own additions")
	}
}

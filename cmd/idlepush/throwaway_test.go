package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

// withThrowaway, in the environment of the test binary as the program, adds throwaway to its list.
const withThrowaway = "TEST_WITH_THROWAWAY"

// throwaway is all there is of a push service that does not exist: what a package would be.
var throwaway = push.Service{
	Settings: []push.Setting{{Name: "throwaway-url", Meaning: "base `URL` of the service", Check: push.CheckURL}},
	Codes: []codes.Entry{
		{Code: "throwaway_address", Text: "The address is wrong."},
		{Code: "throwaway_unreachable", Text: "The service could not be reached."},
		{Code: "throwaway_malformed", Text: "must be a word"},
		{Code: "throwaway_not_configured", Text: "this server has no throwaway-url"},
		{Code: "throwaway_town", Text: "must be somewhere"},
		{Code: "throwaway_unsendable", Text: "The message could not be written."},
	},
	New: func(v push.Values, _ push.Server) (push.Transports, error) {
		return push.Transports{postcards{v["throwaway-url"]}}, nil
	},
}

// postcards sends to addresses, which are words, within a town.
type postcards struct{ url string }

func (p postcards) Traits() push.Traits {
	return push.Traits{
		Name: "throwaway",
		Params: []push.Param{
			{Name: "town", Doc: "where the word is", MaxLength: 10},
			{Name: "side", Doc: "of the street", Values: []string{"left", "right"}, Learned: true},
		},
		Limits:   map[idlepush.Kind]push.Limit{idlepush.KindClear: {Pushes: 1, Window: time.Hour}},
		Meanings: []push.Meaning{{Name: "X-Stamp", Words: "what it costs"}},
	}
}

var word = regexp.MustCompile(`^[a-z]+$`)

func (p postcards) Check(d idlepush.Device) error {
	switch {
	case p.url == "":
		return &push.FieldError{Field: "transport", Reason: idlepush.Reason{Code: "throwaway_not_configured"}}
	case !word.MatchString(string(d.Address)):
		return &push.FieldError{Field: "address", Reason: idlepush.Reason{Code: "throwaway_malformed"}}
	case d.Params["town"] == "nowhere":
		return &push.FieldError{Field: "town", Reason: idlepush.Reason{Code: "throwaway_town"}}
	}
	return nil
}

func (p postcards) CloseIdleConnections() {}

func (p postcards) Service(idlepush.Device) string { return "post.example" }

func (p postcards) Examine(context.Context) []idlepush.Step { return nil }

func (p postcards) Lane(d idlepush.Device) string { return "throwaway " + d.Params["side"] }

func (p postcards) request(ctx context.Context, d idlepush.Device, m push.Message, address string) (*http.Request, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/"+d.Params["town"]+"/"+address, bytes.NewReader(m.Payload))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("X-Stamp", "10 cents")
	return r, m.Payload, nil
}

func (p postcards) Send(ctx context.Context, d idlepush.Device, m push.Message) registry.Outcome {
	r, _, err := p.request(ctx, d, m, string(d.Address))
	if err != nil {
		return push.Suspect("throwaway_address")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return push.Unanswered("throwaway_unreachable")
	}
	answer.Body.Close()
	o := registry.Outcome{Result: registry.ResultDelivered}
	if d.Params["side"] == "" {
		o.Learned = &idlepush.Learned{Params: map[string]string{"side": "left"}}
	}
	return o
}

func (p postcards) Preview(d idlepush.Device, m push.Message) (push.Request, *registry.Outcome) {
	r, body, err := p.request(context.Background(), d, m, push.Hidden)
	if err != nil {
		return push.Request{}, new(push.Refused("throwaway_unsendable"))
	}
	return push.RequestOf(r, body, nil), nil
}

// office is the service. It puts what comes into received.
func office(t *testing.T) (url string, received chan string) {
	t.Helper()
	received = make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		received <- r.URL.Path + " " + string(body)
	}))
	t.Cleanup(server.Close)
	return server.URL, received
}

// TestATransportIsAPackageAndOneLine: one that the rest of the program has never heard of is added
// to its list, and is registered, validated, previewed and pushed to through the API.
func TestATransportIsAPackageAndOneLine(t *testing.T) {
	t.Parallel()
	url, received := office(t)
	program := itself(t)
	program.Env = append(program.Env, withThrowaway+"=1", "IDLEPUSH_THROWAWAY_URL="+url)
	s := systemtest.New(t, program)
	s.Start(t)
	s.SetUp(t)
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/accounts", s.Account(), nil))
	s.WaitWatched(t, 1)
	good := object{"name": "box", "transport": "throwaway", "token": "plantedbox", "town": "Bern", "content": "subject"}

	t.Run("what its registration may be is checked", func(t *testing.T) {
		for field, change := range map[string]object{
			"token":        {"token": "two words"},
			"town":         {"town": "nowhere"},
			"side":         {"side": "above"},
			"environment":  {"environment": "sandbox"},
			"subscription": {"subscription": object{"endpoint": "https://push.example.org/x", "keys": object{"p256dh": "x", "auth": "x"}}},
		} {
			body := maps.Clone(good)
			maps.Copy(body, change)
			status, text := raw(t, s, "/devices", body)
			var p struct{ Errors []struct{ Field string } }
			if err := json.Unmarshal([]byte(text), &p); err != nil || status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != field {
				t.Errorf("%s: %d %s", field, status, text)
			}
		}
		if status, text := raw(t, s, "/devices", object{"name": "phone", "transport": "fcm", "token": "t", "town": "Bern"}); status != 422 || !strings.Contains(text, `"town"`) {
			t.Errorf("another transport takes its parameter: %d %s", status, text)
		}
	})

	var made struct{ ID, Transport, Town, Side string }
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/devices", good, &made))
	if made.Transport != "throwaway" || made.Town != "Bern" || made.Side != "left" {
		t.Errorf("it is registered as %+v", made)
	}
	if came := <-received; !strings.HasPrefix(came, "/Bern/plantedbox ") || !strings.Contains(came, `"kind":"test"`) {
		t.Errorf("the proving push was %s", came)
	}

	t.Run("it is previewed", func(t *testing.T) {
		var preview struct {
			Transport, URL string
			Readable       []string
		}
		systemtest.Must(t, s.Client.Get(testenv.Context(t), "/devices/"+made.ID+"/preview", &preview))
		if preview.Transport != "throwaway" || preview.URL != url+"/Bern/"+push.Hidden || !slices.Contains(preview.Readable, "what it costs: 10 cents") ||
			!slices.Contains(preview.Readable, "the subject: Dinner on Sunday?") {
			t.Errorf("it is %+v", preview)
		}
	})

	t.Run("it is pushed to", func(t *testing.T) {
		s.Deliver(t, "planted-subject")
		select {
		case came := <-received:
			if !strings.HasPrefix(came, "/Bern/plantedbox ") || !strings.Contains(came, `"subject":"planted-subject"`) {
				t.Errorf("it was sent %s", came)
			}
		case <-testenv.Context(t).Done():
			t.Error("no mail came")
		}
	})

	t.Run("it is documented", func(t *testing.T) {
		var doc struct {
			Components struct {
				Schemas map[string]struct {
					Properties map[string]struct {
						Description string
						Enum        []string
					}
				}
			}
		}
		systemtest.Must(t, s.Client.Get(testenv.Context(t), "/openapi.json", &doc))
		fields := doc.Components.Schemas["NewDevice"].Properties
		if !slices.Contains(fields["transport"].Enum, "throwaway") || fields["town"].Description != "throwaway: where the word is" ||
			fmt.Sprint(fields["side"].Enum) != "[left right]" || !strings.HasSuffix(fields["token"].Description, " and throwaway") {
			t.Errorf("the fields are %+v", fields)
		}
	})
	s.Stop(t)
	s.CheckNoSecrets(t)
}

// TestTheTransportsOfTheContractAreThePrograms: web's own test of the document has a copy of the
// list.
func TestTheTransportsOfTheContractAreThePrograms(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	status, text := get(t, s, "/openapi.json")
	if status != 200 {
		t.Fatal(text)
	}
	version := regexp.MustCompile(`"version": "[^"]*"`)
	want := strings.TrimSpace(version.ReplaceAllString(read(t, "web/testdata/openapi.json"), ""))
	if strings.TrimSpace(version.ReplaceAllString(text, "")) != want {
		t.Error("the program's document is not web/testdata/openapi.json: correct transports in web/helpers_test.go, then run go test ./web -run OpenAPI -update")
	}
}

func get(t *testing.T, s *systemtest.System, path string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(testenv.Context(t), http.MethodGet, s.Client.Base+path, nil)
	systemtest.Must(t, err)
	answer, err := http.DefaultClient.Do(r)
	systemtest.Must(t, err)
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	systemtest.Must(t, err)
	return answer.StatusCode, string(all)
}

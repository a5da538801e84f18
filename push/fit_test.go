package push

import (
	"errors"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

// large returns a mail that Smaller can shorten.
func large() Message {
	w := sample(idlepush.Device{Content: idlepush.LevelPreview}, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	w.Clear = []string{"a", "b", "c"}
	return Render(w, "https://push.example.org/", nil)
}

func TestFit(t *testing.T) {
	whole, smallest := large(), large()
	smallest, _ = smallest.Smallest()
	other := errors.New("another error")
	size := func(m Message) (string, int, error) { return m.Title, len(m.Payload), nil }
	for name, c := range map[string]struct {
		limit  int
		render func(Message) (string, int, error)
		want   int // length of the payload that was used; 0: none was
		err    error
	}{
		"a message that fits is used as it is":         {len(whole.Payload), size, len(whole.Payload), nil},
		"one that does not fit is shortened":           {len(whole.Payload) - 1, size, -1, nil},
		"as far as it can be":                          {len(smallest.Payload), size, len(smallest.Payload), nil},
		"and no further":                               {len(smallest.Payload) - 1, size, 0, ErrTooLarge},
		"ErrTooLarge says that it does not fit either": {1 << 20, func(Message) (string, int, error) { return "", 0, ErrTooLarge }, 0, ErrTooLarge},
		"any other error ends it":                      {1 << 20, func(Message) (string, int, error) { return "", 0, other }, 0, other},
	} {
		t.Run(name, func(t *testing.T) {
			_, m, err := Fit(whole, c.limit, c.render)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if got := len(m.Payload); err == nil && (got > c.limit || c.want > 0 && got != c.want) {
				t.Errorf("a payload of %d bytes for a limit of %d, want %d", got, c.limit, c.want)
			}
		})
	}
}

func TestSendFitting(t *testing.T) {
	refused := Refused("too_large")
	fit := func(m Message) (int, Message, *registry.Outcome) { return len(m.Payload), m, nil }
	for name, c := range map[string]struct {
		m     Message
		takes func(size int) bool
		sends int
	}{
		"what is taken is sent once":                    {large(), func(int) bool { return true }, 1},
		"what is too large is sent again, smallest":     {large(), func(size int) bool { return size < len(large().Payload) }, 2},
		"and no more than that":                         {large(), func(int) bool { return false }, 2},
		"what cannot be made smaller is not sent again": {Message{Payload: []byte("{}")}, func(int) bool { return false }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var sizes []int
			SendFitting(c.m, fit, func(size int) (registry.Outcome, bool) {
				sizes = append(sizes, size)
				return refused, !c.takes(size)
			})
			if len(sizes) != c.sends || sizes[len(sizes)-1] > sizes[0] {
				t.Errorf("sent sizes %v, want %d", sizes, c.sends)
			}
		})
	}
	o := SendFitting(large(), func(m Message) (int, Message, *registry.Outcome) { return 0, m, &refused }, func(int) (registry.Outcome, bool) {
		t.Error("sent what was refused")
		return registry.Outcome{}, false
	})
	if !o.NotSent || o.Code != refused.Code {
		t.Errorf("the refusal is %+v", o)
	}
}

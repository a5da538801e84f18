package registry

import (
	"testing"

	"idlepush"
)

func TestLevelAllows(t *testing.T) {
	t.Parallel()
	const unknown idlepush.Level = "everything"
	order := []idlepush.Level{idlepush.LevelWake, idlepush.LevelSender, idlepush.LevelSubject, idlepush.LevelPreview}
	for i, l := range order {
		for j, other := range order {
			if l.Allows(other) != (i >= j) {
				t.Errorf("%s allows %s: %v", l, other, l.Allows(other))
			}
		}
		if l.Allows(unknown) {
			t.Errorf("%s allows an unknown level", l)
		}
		if unknown.Allows(l) != (l == idlepush.LevelWake) {
			t.Errorf("an unknown level allows %s: %v", l, unknown.Allows(l))
		}
	}
	full := idlepush.Content{From: "f", Subject: "s", Preview: "p"}
	for l, want := range map[idlepush.Level]idlepush.Content{
		unknown: {}, "": {}, idlepush.LevelWake: {}, idlepush.LevelSender: {From: "f"}, idlepush.LevelSubject: {From: "f", Subject: "s"}, idlepush.LevelPreview: full,
	} {
		if got := full.At(l); got != want {
			t.Errorf("at %q: %q %q %q", l, got.From, got.Subject, got.Preview)
		}
	}
}

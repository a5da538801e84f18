package idlepush

import "testing"

func TestLevelAllows(t *testing.T) {
	t.Parallel()
	const unknown Level = "everything"
	order := []Level{LevelWake, LevelSender, LevelSubject, LevelPreview}
	for i, l := range order {
		for j, other := range order {
			if l.Allows(other) != (i >= j) {
				t.Errorf("%s allows %s: %v", l, other, l.Allows(other))
			}
		}
		if l.Allows(unknown) {
			t.Errorf("%s allows an unknown level", l)
		}
		if unknown.Allows(l) != (l == LevelWake) {
			t.Errorf("an unknown level allows %s: %v", l, unknown.Allows(l))
		}
	}
	full := Content{From: "f", Subject: "s", Preview: "p", OneTimeCode: "1234"}
	for l, want := range map[Level]Content{
		unknown: {}, "": {}, LevelWake: {}, LevelSender: {From: "f"}, LevelSubject: {From: "f", Subject: "s"}, LevelPreview: full,
	} {
		if got := full.At(l); got != want {
			t.Errorf("at %q: %q %q %q", l, got.From, got.Subject, got.Preview)
		}
	}
}

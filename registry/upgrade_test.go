package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// withSteps adds steps to the schema for as long as the test runs; such a test must not be parallel.
func withSteps(t *testing.T, more ...func(*bolt.Tx, seals) error) {
	released := steps
	steps = append(released[:len(released):len(released)], more...)
	t.Cleanup(func() { steps = released })
}

func TestAnUpgradeThatFailsHalfWayLeavesTheFileUntouched(t *testing.T) {
	dir := closedStore(t)
	half := func(tx *bolt.Tx, s seals) error {
		put(tx.Bucket(meta), []byte("half"), 1)
		if err := tx.DeleteBucket(accounts); err != nil {
			return err
		}
		_, err := tx.CreateBucket([]byte("newer"))
		return err
	}
	withSteps(t, half, func(*bolt.Tx, seals) error { return errors.New("the row of a device is older than it can be") })
	released := len(steps) - 2
	refused(t, dir, nil, fmt.Sprint("upgrade to schema version ", len(steps)), "the row of a device is older than it can be")

	steps[len(steps)-1] = func(*bolt.Tx, seals) error { panic("a row that nobody thought of") }
	refused(t, dir, nil, "a row that nobody thought of")
	steps = steps[:released]
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatalf("with the program it was written by: %v", err)
	}
	checkStore(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestEachUpgradeStepRunsOnceOnAnyStore(t *testing.T) {
	dir := closedStore(t)
	ran := 0
	withSteps(t, func(tx *bolt.Tx, s seals) error {
		ran++
		_, err := tx.CreateBucket([]byte("newer"))
		return err
	})
	for _, dir := range []string{dir, t.TempDir()} {
		ran = 0
		for range 3 {
			s, err := Open(dir, unsynced)
			if err != nil {
				t.Fatal(err)
			}
			if ran != 1 {
				t.Errorf("the step ran %d times", ran)
			}
			if _, err := s.VAPIDKey(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	steps = steps[:len(steps)-1]
	if _, err := Open(dir, unsynced); err == nil || !strings.Contains(err.Error(), "run the newer idlepush") {
		t.Errorf("the older program: %v", err)
	}
}

func TestAnUpgradeNeedsTheRightKey(t *testing.T) {
	dir := closedStore(t)
	withSteps(t, func(*bolt.Tx, seals) error {
		t.Error("the step ran")
		return nil
	})
	refused(t, dir, newKey(), "the key does not fit")
}

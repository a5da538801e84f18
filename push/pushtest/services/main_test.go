package services_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if os.Getenv(answering) != "" {
		answer()
		return
	}
	goleak.VerifyTestMain(m)
}

package services_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain holds the tests to leaving no goroutine behind.
func TestMain(m *testing.M) {
	if os.Getenv(answering) != "" {
		answer()
		return
	}
	goleak.VerifyTestMain(m)
}

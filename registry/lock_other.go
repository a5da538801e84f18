//go:build !unix

package registry

// lockFolder does nothing where folders cannot be locked.
func lockFolder(string) (unlock func() error, err error) { return func() error { return nil }, nil }

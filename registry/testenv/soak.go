//go:build soak

package testenv

// Soak reports whether the long tests run whole.
const Soak = true

//go:build !soak

package testenv

// Soak reports whether long tests run at full size.
const Soak = false

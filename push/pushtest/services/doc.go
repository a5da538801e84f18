// Package services has only tests: of what all transports must do alike. They are a package of
// their own because they build the SDKs of Google and Apple, which the tests of package push must
// not.
package services

// Package services has only tests: of what holds for every push service alike, each sender against
// its stand-in. It is a package of its own because it needs all senders, and with them the SDKs of
// Google and Apple: the tests of package push must not build those.
package services

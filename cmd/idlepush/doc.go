// Command idlepush rings the phones of a family or small team when mail arrives.
//
// It keeps an IMAP session in IDLE for each of their accounts, and pushes to the devices that they
// registered over its HTTP API or its page.
//
// Usage:
//
//	idlepush serve     run the daemon
//	idlepush demo      show mail, push and the milliseconds between, with nothing configured
//	idlepush version   print the version
//
// # Settings
//
// Every setting of serve is a flag and an environment variable: --public-url is
// IDLEPUSH_PUBLIC_URL. A secret can also be in a file: --key-file, IDLEPUSH_KEY_FILE. All are
// checked before anything starts. "idlepush serve -help" lists them.
//
// # Files
//
// Everything is in the data folder, ./data by default: the store idlepush.db, the key that seals
// its secrets, and, until the first admin is set up, the setup-token.
//
// # Signals and exit codes
//
// The first SIGINT or SIGTERM ends the program cleanly, within 10 s; the second at once. It exits
// with 0 after a clean end, with 1 if something failed, and with 2 on wrong usage.
//
// # The package
//
// It has the settings, and connects the other packages with each other. It imports all of them, and
// none imports it.
package main

// Command idlepush notifies the phones of a family or small team when mail arrives.
//
// It holds an IMAP connection in IDLE for each mail account. It pushes to the devices that users
// registered over its HTTP API or its page.
//
// Usage:
//
//	idlepush serve     run the daemon
//	idlepush demo      run a demonstration
//	idlepush selftest  try whether this build keeps its promise on this machine
//	idlepush doctor [EMAIL]
//	                   examine this installation, or a mailbox
//	idlepush setup-link
//	                   print a link by which the first admin is set up
//	idlepush password-link NAME
//	                   print a link by which that person chooses a new password
//	idlepush backup FILE
//	                   write all that the store has to a file
//	idlepush restore FILE
//	                   make a store of a backup
//	idlepush check [FILE]
//	                   read the whole store, or a backup
//	idlepush compact   make the file of the store as small as it can be
//	idlepush healthcheck
//	                   ask the idlepush on this machine whether it works
//	idlepush export NAME
//	                   print all that is kept of that person, as JSON
//	idlepush version   print the version
//
// # Settings
//
// Settings are flags or environment variables: --public-url is IDLEPUSH_PUBLIC_URL. A secret can
// also be in a file: --key-file, IDLEPUSH_KEY_FILE. All settings are checked before anything
// starts. "idlepush serve -help" lists them.
//
// # Files
//
// All files are in the data folder, ./data by default. The file idlepush.db is the store, and the
// file key seals the secrets in it. The file setup-token exists until the first admin is created.
// Commands reach a running daemon by the socket idlepush.sock. Package registry lists the others.
//
// # Signals and exit codes
//
// The first SIGINT or SIGTERM ends the program cleanly, within 10 s. The second ends it at once. It
// exits with 0 after a clean end, with 1 if something failed, doctor finds something wrong or
// selftest a broken promise, and with 2 on wrong usage.
//
// # The package
//
// It reads the settings and connects the other packages. It imports all of them, and none imports
// it.
package main

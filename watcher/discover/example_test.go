package discover_test

import (
	"context"
	"fmt"
	"log"

	"idlepush/watcher/discover"
)

// Large providers are in a table, so nobody is asked about their domains. A Finder that is to find
// the settings of other domains needs a Resolver and a Permit.
func ExampleFinder_Find() {
	var f discover.Finder
	found, err := f.Find(context.Background(), "anna@qq.com")
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range found.Settings {
		fmt.Printf("%s: %s:%d, %s, as %s\n", found.Name, s.Host, s.Port, s.Security, s.Username)
	}
	for _, n := range found.Notes {
		fmt.Println("first:", n.Code)
	}
	// Output:
	// QQ Mail: imap.qq.com:993, tls, as anna@qq.com
	// first: authorization_code
}

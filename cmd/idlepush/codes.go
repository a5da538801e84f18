package main

import (
	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/push"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/discover"
	"idlepush/watcher/oauth"
	"idlepush/web"
)

// allCodes returns the codes of all packages, with those of every push service.
func allCodes() codes.Table {
	lists := [][]codes.Entry{idlepush.Codes, receipt.Codes, registry.Codes, watcher.Codes, discover.Codes, oauth.Codes, promise.Codes, push.Codes, web.Codes}
	for _, service := range services {
		lists = append(lists, service.Codes)
	}
	return codes.Join(lists...)
}

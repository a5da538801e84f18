package main

import (
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
)

// services are the push services of the program. CONTRIBUTING.md has the steps to add one.
var services = []push.Service{fcm.Service, apns.Service, webpush.Service}

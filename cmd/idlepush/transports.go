package main

import (
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
)

// services are the push services of the program. To add one, add it here and its name on the page
// to web/page/texts.js.
var services = []push.Service{fcm.Service, apns.Service, webpush.Service}

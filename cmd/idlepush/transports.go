package main

import (
	"idlepush/push"
	"idlepush/push/apns"
	"idlepush/push/fcm"
	"idlepush/push/webpush"
)

// services are the push services that the program knows. Another one is one more entry here; what
// it is called on the page stands in web/page/texts.js.
var services = []push.Service{fcm.Service, apns.Service, webpush.Service}

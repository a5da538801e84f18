package promise

import "idlepush/codes"

const (
	mailboxDown        codes.Code = "mailbox_down"
	mailboxUnconfirmed codes.Code = "mailbox_unconfirmed"
	deviceDown         codes.Code = "device_down"
	deviceWaits        codes.Code = "device_waits"
	serviceDown        codes.Code = "push_service_down"
	storeDown          codes.Code = "store_down"
	diskLow            codes.Code = "disk_low"
	programStuck       codes.Code = "program_stuck"
)

// Codes are those that [Broken] has, but for receipt.CodeUnconfirmed.
var Codes = []codes.Entry{
	{Code: mailboxDown, Text: "new mail does not ring: {cause}"},
	{Code: mailboxUnconfirmed, Text: "the mail server has not confirmed for too long that no mail is missing. If this does not end by itself, see the log, and restart idlepush."},
	{Code: deviceDown, Text: "{device} does not ring: {cause}"},
	{Code: deviceWaits, Text: "What is due for {device} is not sent. If this does not end by itself, see the log, and restart idlepush."},
	{Code: serviceDown, Text: "The push service {service} accepts no pushes, so the phones and browsers that use it do not ring: {cause}"},
	{Code: storeDown, Text: "The store cannot be read or written, so nothing new rings. Most likely the disk is full: the log says more."},
	{Code: diskLow, Text: "The disk of the data folder is nearly full. Make room: once it is full, nothing new rings."},
	{Code: programStuck, Text: "idlepush has not looked at its mailboxes or queues for minutes. Most likely the disk does not respond: see the log, and restart idlepush."},
}

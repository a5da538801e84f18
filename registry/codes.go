package registry

import "idlepush/codes"

// Codes are those that the registry gives itself.
var Codes = []codes.Entry{
	{Code: "device_gone", Text: "{device} gets no more notifications: {cause}"},
}

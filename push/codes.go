package push

import "idlepush/codes"

// Codes are those that the dispatcher gives itself. Each transport has its own, which are in its
// Service.
var Codes = []codes.Entry{
	{Code: "transport_unknown", Text: "This version of idlepush does not know {transport}, by which this device is reached."},
}

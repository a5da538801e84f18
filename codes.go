package idlepush

import "idlepush/codes"

// Codes are those of [CheckLink].
var Codes = []codes.Entry{
	{Code: "link_too_long", Text: "must have at most {limit} bytes"},
	{Code: "link_characters", Text: "must have no space, control character or quotation mark"},
	{Code: "link_placeholder", Text: "may have only these placeholders: {known}"},
	{Code: "link_scheme", Text: "must begin with one of {schemes}"},
	{Code: "link_invalid", Text: "must be an address that can be opened"},
}

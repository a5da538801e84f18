package idlepush

import "idlepush/codes"

// Codes are those of [Account.CheckLink].
var Codes = []codes.Entry{
	{Code: "link_too_long", Text: "The link must have at most {limit} bytes."},
	{Code: "link_characters", Text: "The link must have no space, control character or quotation mark."},
	{Code: "link_placeholder", Text: "The link may have only these placeholders: {known}."},
	{Code: "link_scheme", Text: "The link must begin with one of {schemes}."},
	{Code: "link_invalid", Text: "The link must be an address that can be opened."},
}

package web

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"idlepush/codes"
)

// checks are the checks that huma makes of a field. In place of its message huma gets the code, and
// the name and value of its parameter.
var checks = []struct {
	message *string
	code    codes.Code
	param   string // its name; empty: there is no value
}{
	{&validation.MsgExpectedMinLength, "field_too_short", "limit"},
	{&validation.MsgExpectedMaxLength, "field_too_long", "limit"},
	{&validation.MsgExpectedMinItems, "field_too_few", "limit"},
	{&validation.MsgExpectedMaxItems, "field_too_many", "limit"},
	{&validation.MsgExpectedMinimumNumber, "field_too_small", "limit"},
	{&validation.MsgExpectedMaximumNumber, "field_too_large", "limit"},
	{&validation.MsgExpectedOneOf, "field_choice", "choices"},
	{&validation.MsgExpectedInteger, "field_not_integer", ""},
	{&validation.MsgExpectedString, "field_not_text", ""},
	{&validation.MsgExpectedBoolean, "field_not_boolean", ""},
	{&validation.MsgExpectedArray, "field_not_list", ""},
	{&validation.MsgExpectedObject, "field_not_object", ""},
	{&validation.MsgExpectedRFC3339DateTime, "field_not_time", ""},
}

// huma keeps these in package variables. By default it would check field names only in their exact
// case but decode them in any, and document lists as nullable. Its errors repeat the values of a
// request and are not written for people.
func init() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	huma.NewError = fromHuma
	for _, c := range checks {
		*c.message = string(c.code)
		if c.param != "" {
			*c.message += " %v"
		}
	}
}

// fromHuma returns the problem for errors of huma, without the values that they repeat.
func fromHuma(status int, _ string, errs ...error) huma.StatusError {
	var fields []FieldError
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			fields = append(fields, fromDetail(d))
		}
	}
	p := invalid(sentences, fields...)
	switch status {
	case http.StatusUnprocessableEntity:
		return p
	case http.StatusRequestEntityTooLarge:
		return tooLarge()
	case http.StatusUnsupportedMediaType:
		return problem(status, "unsupported_media_type")
	case http.StatusInternalServerError:
		return problem(status, "internal")
	}
	bad := problem(status, "bad_request")
	bad.Errors = p.Errors
	return bad
}

var (
	fieldName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,100}$`)
	required  = regexp.MustCompile(`^expected required property (\w+) to be present$`)
)

// fromDetail returns the fault for a message of huma. It keeps nothing of one that may hold a
// value.
func fromDetail(d *huma.ErrorDetail) FieldError {
	_, field, _ := strings.Cut(d.Location, ".")
	missing := required.FindStringSubmatch(d.Message)
	if missing != nil {
		field = strings.TrimPrefix(field+"."+missing[1], ".")
	}
	if !fieldName.MatchString(field) {
		field = ""
	}
	code, value, _ := strings.Cut(d.Message, " ")
	for _, c := range checks {
		switch {
		case code != string(c.code):
		case c.param == "":
			return fault(field, c.code)
		case value == "1" && (c.code == "field_too_short" || c.code == "field_too_few"):
			return fault(field, "field_empty")
		default:
			return fault(field, c.code).with(c.param, value)
		}
	}
	switch {
	case missing != nil:
		return fault(field, "field_required")
	case d.Message == validation.MsgUnexpectedProperty, d.Message == "unknown query parameter":
		return fault(field, "field_unknown")
	case d.Message == "invalid integer":
		return fault(field, "field_not_integer")
	}
	return fault(field, "field_unreadable")
}

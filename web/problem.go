package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"idlepush"
	"idlepush/codes"
)

const (
	minLength = "must have at least %d characters"
	minItems  = "must hold at least %d"
)

// huma keeps these in package variables. By default it would check field names only in their exact
// case but decode them in any, and document lists as nullable. Its errors repeat the values of a
// request and are not written for people.
func init() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	huma.NewError = fromHuma
	validation.MsgExpectedMinLength = minLength
	validation.MsgExpectedMaxLength = "must have at most %d characters"
	validation.MsgExpectedMinItems = minItems
	validation.MsgExpectedMaxItems = "must hold at most %d"
	validation.MsgExpectedMinimumNumber = "must be %v or more"
	validation.MsgExpectedMaximumNumber = "must be %v or less"
	validation.MsgExpectedInteger = "must be a whole number"
	validation.MsgExpectedString = "must be text"
	validation.MsgExpectedBoolean = "must be true or false"
	validation.MsgExpectedArray = "must be a list"
	validation.MsgExpectedObject = "must be an object"
	validation.MsgExpectedOneOf = "must be one of \"%s\""
}

// FieldError describes the fault of one field of a request. As an error it is answered with 422.
type FieldError struct {
	Field   string `json:"field" doc:"The field's name as in the request, such as subscription.keys.auth; empty: the request as a whole"`
	Message string `json:"message" doc:"What is wrong with it; never the value"`
}

// Error returns the field and the message.
func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Problem is the answer to a request that failed: problem details (RFC 9457). It never holds a
// value of the request.
type Problem struct {
	Title  string            `json:"title" doc:"The status in words"`
	Status int               `json:"status" doc:"The HTTP status"`
	Code   codes.Code        `json:"code" doc:"What happened, for programs"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Detail string            `json:"detail,omitempty" doc:"What happened and what to do, for people"`
	Errors []FieldError      `json:"errors,omitempty" doc:"What is wrong, field by field"`

	header http.Header
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter: RFC 9457 section 3.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// problem returns the problem of one of web's own codes.
func problem(status int, code codes.Code) *Problem {
	return problemOf(sentences, status, idlepush.Reason{Code: code})
}

// problemOf returns the problem of a reason with a code of the table.
func problemOf(t codes.Table, status int, r idlepush.Reason) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: r.Code, Params: r.Params, Detail: t.Sentence(r.Code, r.Params)}
}

// with returns the problem of one of web's own codes with one more parameter.
func (p *Problem) with(name, value string) *Problem {
	return problemOf(sentences, p.Status, idlepush.Reason{Code: p.Code, Params: p.Params}.With(name, value))
}

func notFound() *Problem {
	return problem(http.StatusNotFound, "not_found")
}

// invalid returns a 422 for fields with faults.
func invalid(fields ...FieldError) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid")
	p.Errors = fields
	return p
}

// unprocessable returns a 422 with one of web's own codes, caused by one field.
func unprocessable(field string, code codes.Code) *Problem {
	return unprocessableOf(sentences, field, idlepush.Reason{Code: code})
}

// unprocessableOf returns a 422 with a code of the table, caused by one field.
func unprocessableOf(t codes.Table, field string, r idlepush.Reason) *Problem {
	p := problemOf(t, http.StatusUnprocessableEntity, r)
	p.Errors = []FieldError{{field, p.Detail}}
	return p
}

// faults collects the faults of a request, to report them all at once.
type faults []FieldError

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, FieldError{field, fmt.Sprintf(format, args...)})
}

// err returns a *Problem, or nil if there are no faults.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return invalid(f...)
}

// fromHuma returns the problem for errors of huma, without the values that they repeat.
func fromHuma(status int, _ string, errs ...error) huma.StatusError {
	var p *Problem
	switch status {
	case http.StatusUnprocessableEntity:
		p = invalid()
	case http.StatusRequestEntityTooLarge:
		p = tooLarge()
	case http.StatusUnsupportedMediaType:
		return problem(status, "unsupported_media_type")
	case http.StatusInternalServerError:
		return problem(status, "internal")
	default:
		p = problem(status, "bad_request")
	}
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			p.Errors = append(p.Errors, fromDetail(d))
		}
	}
	return p
}

func tooLarge() *Problem {
	return problem(http.StatusRequestEntityTooLarge, "too_large").with("limit", strconv.Itoa(maxBody))
}

// empty holds huma's messages for an empty text or list.
var empty = []string{fmt.Sprintf(minLength, 1), fmt.Sprintf(minItems, 1)}

var (
	fieldName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,100}$`)
	required  = regexp.MustCompile(`^expected required property (\w+) to be present$`)
)

// fromDetail keeps only those messages of huma that hold no value.
func fromDetail(d *huma.ErrorDetail) FieldError {
	_, field, _ := strings.Cut(d.Location, ".")
	message := "cannot be read"
	if m := required.FindStringSubmatch(d.Message); m != nil {
		field = strings.TrimPrefix(field+"."+m[1], ".")
		message = "is required"
	} else if slices.Contains(empty, d.Message) {
		message = "must not be empty"
	} else if d.Message == "unexpected property" || d.Message == "unknown query parameter" {
		message = "is not known"
	} else if strings.HasPrefix(d.Message, "must ") || strings.HasPrefix(d.Message, "expected ") || d.Message == "invalid integer" {
		message = d.Message
	}
	if !fieldName.MatchString(field) {
		field = ""
	}
	return FieldError{field, message}
}

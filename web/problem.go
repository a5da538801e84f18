package web

import (
	"encoding/json"
	"net/http"
	"strconv"

	"idlepush"
	"idlepush/codes"
)

// FieldError describes the fault of one field of a request. As an error it is answered with 422.
// Whoever returns one leaves Message empty.
type FieldError struct {
	Field   string            `json:"field" doc:"The field's name as in the request, such as subscription.keys.auth; empty: the request as a whole"`
	Code    codes.Code        `json:"code" doc:"What is wrong with it, for programs"`
	Params  map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Message string            `json:"message" doc:"What is wrong with it, for people; never the value"`
}

// fault returns the fault of a field with one of web's own codes.
func fault(field string, code codes.Code) FieldError {
	return faultOf(field, idlepush.Reason{Code: code})
}

func faultOf(field string, r idlepush.Reason) FieldError {
	return FieldError{Field: field, Code: r.Code, Params: r.Params}
}

// with returns the fault with one more parameter.
func (e FieldError) with(name, value string) FieldError {
	return faultOf(e.Field, idlepush.Reason{Code: e.Code, Params: e.Params}.With(name, value))
}

// Error returns the field and the code.
func (e FieldError) Error() string { return e.Field + ": " + string(e.Code) }

// Problem is the answer to a request that failed: problem details (RFC 9457). It never holds a
// value of the request.
type Problem struct {
	Title  string            `json:"title" doc:"The status in words"`
	Status int               `json:"status" doc:"The HTTP status"`
	Code   codes.Code        `json:"code" doc:"What happened, for programs"`
	Params map[string]string `json:"params,omitempty" doc:"The parameters of the code"`
	Detail string            `json:"detail,omitempty" doc:"What happened and what to do, for people"`
	Errors []FieldError      `json:"errors,omitempty" doc:"What is wrong, field by field"`

	Certificate *certificate `json:"certificate,omitempty" doc:"The certificate of a mail server that this machine does not trust. The same request is accepted with its fingerprint as certificate; absent: that would not help"`

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

// invalid returns a 422 for fields with faults, whose codes are in the table.
func invalid(t codes.Table, fields ...FieldError) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid")
	for _, e := range fields {
		e.Message = t.Sentence(e.Code, e.Params)
		p.Errors = append(p.Errors, e)
	}
	return p
}

// unprocessable returns a 422 with one of web's own codes, caused by one field.
func unprocessable(field string, code codes.Code) *Problem {
	return unprocessableOf(sentences, field, idlepush.Reason{Code: code})
}

// unprocessableOf returns a 422 with a code of the table, caused by one field.
func unprocessableOf(t codes.Table, field string, r idlepush.Reason) *Problem {
	p := problemOf(t, http.StatusUnprocessableEntity, r)
	p.Errors = []FieldError{{field, p.Code, p.Params, p.Detail}}
	return p
}

// faults collects the faults of a request, to report them all at once.
type faults []FieldError

func (f *faults) add(e FieldError) { *f = append(*f, e) }

// err returns a *Problem, or nil if there are no faults.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return invalid(sentences, f...)
}

func tooLarge() *Problem {
	return problem(http.StatusRequestEntityTooLarge, "too_large").with("limit", strconv.Itoa(maxBody))
}

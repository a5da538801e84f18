package web

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"
)

// List is one page of a list, newest first.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Value of after for the next page; absent: this is the last page"`
}

// pageOf is the input of a list.
type pageOf struct {
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"Maximum number of items"`
	After string `query:"after" doc:"next of an earlier answer"`
}

var errAfter = fault("after", "field_bad_next")

// place is the sort key of an item: its time, then its id.
type place string

func placeOf(created time.Time, id string) place {
	return place(binary.BigEndian.AppendUint64(nil, uint64(created.UnixNano()))) + place(id)
}

// paginate sorts the items newest first and returns one page of them. next holds a place, not an
// item, so it stays valid when the item is removed. It returns errAfter if p.After is malformed.
func paginate[T any](items []T, at func(T) place, p pageOf) ([]T, string, error) {
	after, err := base64.RawURLEncoding.DecodeString(p.After)
	if err != nil || p.After != "" && len(after) < 8 {
		return nil, "", errAfter
	}
	slices.SortFunc(items, func(a, b T) int { return cmp.Compare(at(b), at(a)) })
	if p.After != "" {
		items = slices.DeleteFunc(items, func(item T) bool { return at(item) >= place(after) })
	}
	if len(items) <= p.Limit {
		return items, "", nil
	}
	items = items[:p.Limit]
	return items, base64.RawURLEncoding.EncodeToString([]byte(at(items[len(items)-1]))), nil
}

// listOf returns one page of the items, each converted by show.
func listOf[T, S any](items []T, at func(T) place, p pageOf, show func(T) (S, error)) (*body[List[S]], error) {
	items, next, err := paginate(items, at, p)
	if err != nil {
		return nil, err
	}
	list := List[S]{Items: make([]S, len(items)), Next: next}
	for i, item := range items {
		if list.Items[i], err = show(item); err != nil {
			return nil, err
		}
	}
	return &body[List[S]]{list}, nil
}

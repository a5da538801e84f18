package v1

import "time"

// The columns about when mail rings, as package ring has them.

type facts struct {
	From       string   `json:",omitempty"`
	Name       string   `json:",omitempty"`
	To         []string `json:",omitempty"`
	Subject    string   `json:",omitempty"`
	Words      string   `json:",omitempty"`
	List       string   `json:",omitempty"`
	Bulk       bool     `json:",omitempty"`
	Attachment bool     `json:",omitempty"`
	Size       int64    `json:",omitempty"`
	Thread     []string `json:",omitempty"`
	Answer     bool     `json:",omitempty"`
	First      bool     `json:",omitempty"`
}

type Wishes struct {
	Revision  uint64   `json:",omitempty"`
	Name      string   `json:",omitempty"`
	Color     string   `json:",omitempty"`
	Sound     string   `json:",omitempty"`
	People    []string `json:",omitempty"`
	Rules     []rule   `json:",omitempty"`
	Otherwise action   `json:",omitzero"`
	Mutes     []mute   `json:",omitempty"`

	RulesSince uint64 `json:",omitempty"`
}

type rule struct {
	If   match
	Then action
}

type match struct {
	From       []string `json:",omitempty"`
	To         []string `json:",omitempty"`
	Subject    []string `json:",omitempty"`
	Folder     []string `json:",omitempty"`
	List       []string `json:",omitempty"`
	Words      []string `json:",omitempty"`
	Bulk       *bool    `json:",omitempty"`
	Attachment *bool    `json:",omitempty"`
	Answer     *bool    `json:",omitempty"`
	First      *bool    `json:",omitempty"`
	Above      int64    `json:",omitempty"`
	Below      int64    `json:",omitempty"`
}

type action struct {
	Ring    string `json:",omitempty"`
	Content string `json:",omitempty"`
}

type mute struct {
	ID     string
	Of     string
	Sender string   `json:",omitempty"`
	Thread []string `json:",omitempty"`
	Title  string   `json:",omitempty"`
	Device string   `json:",omitempty"`
	Since  time.Time
	Until  time.Time `json:",omitzero"`
}

type DeviceWishes struct {
	Revision  uint64              `json:",omitempty"`
	Quiet     quiet               `json:",omitzero"`
	Folders   map[string][]string `json:",omitempty"`
	Heartbeat heartbeat           `json:",omitzero"`

	QuietSince   uint64 `json:",omitempty"`
	FoldersSince uint64 `json:",omitempty"`
}

type quiet struct {
	Zone      string  `json:",omitempty"`
	Hours     []hours `json:",omitempty"`
	Mode      string  `json:",omitempty"`
	People    bool    `json:",omitempty"`
	Attention bool    `json:",omitempty"`
}

type heartbeat struct {
	Every string `json:",omitempty"`
	At    int    `json:",omitempty"`
	Zone  string `json:",omitempty"`
}

type hours struct {
	Days     []time.Weekday
	From, To int
}

type decision struct {
	Verdict string
	Since   time.Time         `json:",omitzero"`
	Until   time.Time         `json:",omitzero"`
	Loud    bool              `json:",omitempty"`
	Content string            `json:",omitempty"`
	Code    string            `json:",omitempty"`
	Params  map[string]string `json:",omitempty"`
	By      source            `json:",omitzero"`
	Waited  *wait             `json:",omitempty"`
}

type source struct {
	Mute    string `json:",omitempty"`
	Rules   uint64 `json:",omitempty"`
	Quiet   uint64 `json:",omitempty"`
	Folders uint64 `json:",omitempty"`
}

type wait struct {
	Code         string
	Since, Until time.Time
}

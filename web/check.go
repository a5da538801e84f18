package web

import (
	"context"
	"errors"
	"slices"

	"idlepush"
)

// Check holds what a mail server offers after a login.
type Check struct {
	Capabilities      []string `json:"capabilities" doc:"As the server names them"`
	Folders           []Folder `json:"folders"`
	UnreadableFolders int      `json:"unreadable_folders" doc:"Number of further folders, left out because their names cannot be read"`
	Idle              bool     `json:"idle" doc:"Whether it reports new mail at once (RFC 2177); otherwise it is polled"`
}

// Folder is one folder of a mailbox.
type Folder struct {
	Name string `json:"name" doc:"Readable name, to be used in the folders of an account"`
	Use  string `json:"use,omitempty" doc:"Special use (RFC 6154): all, archive, drafts, flagged, important, junk, sent or trash; absent: no special use"`
}

func (h *accountHandlers) checkAccount(ctx context.Context, c caller, in *body[mailboxLogin]) (*body[Check], error) {
	a := in.Body.account()
	a.Password, a.Folders = idlepush.Secret(in.Body.Password), []string{"INBOX"}
	if err := mailboxFaults(a).err(); err != nil {
		return nil, err
	}
	check, err := h.tryLogin(ctx, c, a)
	if err != nil {
		return nil, err
	}
	check.Capabilities = append([]string{}, check.Capabilities...)
	check.Folders = append([]Folder{}, check.Folders...)
	return &body[Check]{check}, nil
}

// Folders are the folders of a mailbox.
type Folders struct {
	Folders           []Folder `json:"folders"`
	UnreadableFolders int      `json:"unreadable_folders" doc:"Number of further folders, left out because their names cannot be read"`
}

// listFolders lists the folders of an account on its mail server, with the stored password.
func (h *accountHandlers) listFolders(ctx context.Context, c caller, in *byID) (*body[Folders], error) {
	a, err := h.ownAccount(c, in.ID)
	if err != nil {
		return nil, err
	}
	a.Folders = []string{"INBOX"}
	check, err := h.tryLogin(ctx, c, a)
	if err != nil {
		return nil, err
	}
	return &body[Folders]{Folders{append([]Folder{}, check.Folders...), check.UnreadableFolders}}, nil
}

// tryLogin tries the login of the account and checks that its folders exist, if the names of all
// folders can be read.
func (h *accountHandlers) tryLogin(ctx context.Context, c caller, a idlepush.Account) (Check, error) {
	if err := h.limits.allowLogin(c); err != nil {
		return Check{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	check, err := h.mail.Check(ctx, a)
	if err != nil {
		return Check{}, h.loginProblem(err)
	}
	return check, missingFolders(a.Folders, check).err()
}

// loginProblem returns the problem for the error of a login, or an error that nobody can expect.
func (h *accountHandlers) loginProblem(err error) error {
	if e, ok := errors.AsType[*CheckError](err); ok {
		p := unprocessableOf(h.codes, e.Field, e.Reason)
		p.Certificate = certificateOf(e.Certificate)
		return p
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return unprocessable("host", "timeout")
	}
	return err
}

// missingFolders returns the faults of folders that the mail server does not have.
func missingFolders(folders []string, check Check) (f faults) {
	for i, folder := range folders {
		named := func(f Folder) bool { return f.Name == folder }
		if folder != "INBOX" && check.Folders != nil && check.UnreadableFolders == 0 && !slices.ContainsFunc(check.Folders, named) {
			f.add(fault(indexed("folders", i), "field_unknown_folder"))
		}
	}
	return f
}

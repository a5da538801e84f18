package registry

import (
	"reflect"
	"slices"
	"strconv"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// The tables and their rows. Callers see other types, so that a change of those does not change the
// file. Package migrate freezes the format of the rows. The rows that decide who gets in and where
// secrets and mail go are tagged.

var (
	users      = table.NewTagged[id, userRow]("users")
	usersNamed = table.NewIndex(users, "users/name", func(_ id, row userRow) (list []table.Text) {
		for _, key := range row.NameKeys {
			list = append(list, table.Text(key))
		}
		return list
	})
	// usersOver finds the users of whom Withdraw has something to withdraw.
	usersOver = table.NewIndex(users, "users/over", func(k id, row userRow) []id {
		if len(row.Over) == 0 {
			return nil
		}
		return []id{k}
	})

	guesses = table.New[id, guessRow]("guesses") // by user

	tokens   = table.NewTagged[digest, tokenRow]("tokens") // by the SHA-256 of the token
	tokensOf = table.NewIndex(tokens, "tokens/user", func(k digest, row tokenRow) []ownedKey {
		return []ownedKey{{makerKey{id(row.User), id(row.By)}, k}}
	})
	tokensID = table.NewIndex(tokens, "tokens/id", func(_ digest, row tokenRow) []id { return []id{id(row.ID)} })

	invites   = table.NewTagged[digest, inviteRow]("invites") // by the SHA-256 of the code
	invitesOf = table.NewIndex(invites, "invites/user", func(k digest, row inviteRow) []ownedKey {
		return []ownedKey{{makerKey{id(row.User), id(row.By)}, k}}
	})
	invitesID = table.NewIndex(invites, "invites/id", func(_ digest, row inviteRow) []id { return []id{id(row.ID)} })
	// passwordLinks finds the invite by which a user may choose a new password.
	passwordLinks = table.NewIndex(invites, "invites/person", func(_ digest, row inviteRow) []id {
		if row.For != InviteForPassword {
			return nil
		}
		return []id{id(row.Person)}
	})

	accounts   = table.NewTagged[id, accountRow]("accounts")
	accountsOf = table.NewIndex(accounts, "accounts/user", func(k id, row accountRow) (list []viewerKey) {
		for _, user := range row.viewers() {
			list = append(list, viewerKey{id(user), k})
		}
		return list
	})
	// accountsFor finds the accounts that are offered to a user.
	accountsFor = table.NewIndex(accounts, "accounts/offered", func(k id, row accountRow) (list []viewerKey) {
		for _, offer := range row.Offers {
			list = append(list, viewerKey{id(offer.User), k})
		}
		return list
	})
	accountsAt = table.NewIndex(accounts, "accounts/mailbox", func(_ id, row accountRow) []digest {
		return []digest{mailboxOf(row.Host, row.Username)}
	})

	clients = table.NewTagged[table.Text, clientRow]("clients") // by OAuth provider
	grants  = table.NewTagged[id, grantRow]("grants")           // of accounts with OAuth

	asked = table.New[askedKey, askedRow]("asked") // by owner and person

	standings = table.New[id, standingRow]("standings") // of accounts
	cursors   = table.New[folderKey, cursorRow]("cursors")
	hosts     = table.New[table.Text, hostRow]("hosts") // by host and port

	// Devices are by user, so that all of a user are read at once.
	devices   = table.NewTagged[deviceKey, deviceRow]("devices")
	devicesID = table.NewIndex(devices, "devices/id", func(k deviceKey, _ deviceRow) []id { return []id{k.device} })
	devicesAt = table.NewIndex(devices, "devices/address", func(_ deviceKey, row deviceRow) []digest {
		return []digest{row.Address}
	})

	wishes       = table.NewTagged[viewerKey, wishesRow]("wishes")
	deviceWishes = table.NewTagged[deviceKey, deviceWishesRow]("devicewishes")
	senders      = table.New[senderKey, senderRow]("senders") // whose mail an account has had

	queues = table.New[id, queueRow]("queues") // of devices
	due    = table.NewIndex(queues, "queues/due", func(k id, row queueRow) []dueKey { return row.dueKeys(k) })
	// members finds the devices of a lane.
	members = table.NewIndex(queues, "queues/lane", func(k id, row queueRow) []memberKey {
		return []memberKey{{memberPrefix{row.Lane, row.Status.State == idlepush.StateProven}, row.User, k}}
	})
	lanes = table.New[table.Text, laneRow]("lanes") // paused, or with an accused device
	trips = table.New[id, tripsRow]("trips")        // of pushes to devices that report

	notifications = table.New[notificationKey, notificationRow]("notifications")
	byStableID    = table.NewIndex(notifications, "notifications/keys", func(k notificationKey, row notificationRow) []stableKey {
		return []stableKey{{k.scope, row.ID}}
	})
	// byFingerprint finds the notification of a mail. Its duplicates say nothing more.
	byFingerprint = table.NewIndex(notifications, "notifications/keys", func(k notificationKey, row notificationRow) []fingerprintKey {
		if row.Fingerprint == "" || row.Code == codeDuplicate || row.Kind == kindKnown {
			return nil
		}
		return []fingerprintKey{{fingerprintPrefix{k.scope, digestOf(row.Fingerprint)}, k.seq}}
	})
	// known finds mail that was there before its folder was first looked at.
	known = table.NewIndex(notifications, "notifications/keys", func(k notificationKey, row notificationRow) []knownKey {
		if row.Kind != kindKnown {
			return nil
		}
		return []knownKey{{knownPlace{knownPrefix{k.scope, knownDigest(row.Folder, row.Fingerprint)}, row.UIDValidity, row.UID}, k.seq}}
	})
	// duplicates finds the duplicates of a mail, so that its notification can move to one.
	duplicates = table.NewIndex(notifications, "notifications/keys", func(k notificationKey, row notificationRow) []duplicateKey {
		if row.Fingerprint == "" || row.Code != codeDuplicate || row.Removed {
			return nil
		}
		return []duplicateKey{{duplicatePrefix{k.scope, digestOf(row.Fingerprint)}, k.seq}}
	})
	// announced finds mail that was notified, or that push has not decided on, by its place, until
	// it is cleared.
	announced = table.NewIndex(notifications, "notifications/keys", func(k notificationKey, row notificationRow) []placeKey {
		if !row.isNotifiedMail() && row.Undecided != stageMail || !row.Cleared.IsZero() {
			return nil
		}
		return []placeKey{row.place(k.scope)}
	})
	// wordless finds mail that was notified without content.
	wordless = table.NewIndex(notifications, "notifications/wordless", func(k notificationKey, row notificationRow) []notificationKey {
		if !row.Wordless || !row.Cleared.IsZero() {
			return nil
		}
		return []notificationKey{k}
	})
	// notRung finds mail that did not ring, once that is certain. A duplicate that is cleared has
	// rung; see FillIn.
	notRung = table.NewIndex(notifications, "notifications/notrung", func(k notificationKey, row notificationRow) []notificationKey {
		if row.Kind != idlepush.KindMail || row.Code == "" || row.Undecided != "" || row.Code == codeDuplicate && !row.Cleared.IsZero() {
			return nil
		}
		return []notificationKey{k}
	})
	// undecided finds what push has not decided on: old mail and excess mail; see old.go.
	undecided = table.NewIndex(notifications, "notifications/undecided", func(k notificationKey, row notificationRow) []undecidedKey {
		if row.Undecided == "" {
			return nil
		}
		return []undecidedKey{{undecidedPrefix{stageOfAccount{row.Undecided, k.scope}, digestOf(row.Folder)}, k.seq}}
	})
	// unfinished finds notifications that are not yet in the queues of all their devices.
	unfinished = table.NewIndex(notifications, "notifications/unfinished", func(k notificationKey, row notificationRow) []notificationKey {
		if len(row.Unqueued) == 0 {
			return nil
		}
		return []notificationKey{k}
	})

	deliveries = table.New[deliveryKey, deliveryRow]("deliveries")
	waiting    = table.NewIndex(deliveries, "deliveries/waiting", func(k deliveryKey, row deliveryRow) []waitingKey {
		if row.State != idlepush.DeliveryPending {
			return nil
		}
		return []waitingKey{{row.subqueue(k), k.notification.seq}}
	})

	// metas holds one row of each kind: see the constants.
	metas = table.New[table.Text, metaRow]("meta")
)

// tables are all tables and indexes of a store. Of indexes that share a bucket it has the first.
var tables = []table.Named{
	users, usersNamed, usersOver, guesses, tokens, tokensOf, tokensID, invites, invitesOf, invitesID, passwordLinks,
	accounts, accountsOf, accountsFor, accountsAt, grants, clients, asked, standings, cursors, hosts,
	devices, devicesID, devicesAt, wishes, deviceWishes, senders, queues, due, members, lanes, trips,
	notifications, byStableID, wordless, notRung, undecided, unfinished,
	deliveries, waiting, metas,
}

// The rows of metas.
const (
	metaFormat    table.Text = "format"     // the version, and a sealed value that checks the key
	metaVAPID     table.Text = "vapid"      // the sealed scalar of the VAPID key
	metaSetup     table.Text = "setup"      // the sealed SHA-256 of the setup token, until setup
	metaPublicURL table.Text = "public-url" // sealed, as the admin used it at setup
	metaSequence  table.Text = "sequence"   // the last of the notifications
	metaRestored  table.Text = "restored"   // when the store was, in Unix time; see Restored
	metaUnsettled table.Text = "unsettled"  // see endRun; absent while a run lasts
)

type metaRow struct {
	Number uint64       `json:",omitempty"`
	Sealed table.Sealed `json:",omitempty"`
}

type userRow struct {
	Name     string
	NameKeys []string // see nameKeys
	Admin    bool
	Created  time.Time
	Password password
	// Sessions, tokens of full scope and invites are of the era in which they began. They end with
	// it.
	Era      uint64
	Notices  []noticeRow       `json:",omitempty"` // oldest first
	Over     []string          `json:",omitempty"` // stable ids of notifications that Withdraw ends
	Troubles map[string]string `json:",omitempty"` // stable ids of attentions, by Trouble.Key
	Browsers []digest          `json:",omitempty"` // SHA-256 of their secrets; the latest last

	Passkeys     []passkeyRow `json:",omitempty"` // oldest first
	OnlyPasskeys bool         `json:",omitempty"` // see passwordOff
}

// passkeyRow is a Passkey.
type passkeyRow struct {
	ID             string
	By             string `json:",omitempty"` // as of a token
	Name           string
	Site           string
	Created        time.Time
	Used           time.Time `json:",omitzero"`
	Credential     []byte
	PublicKey      []byte
	AAGUID         []byte
	SignCount      uint32 `json:",omitempty"`
	BackupEligible bool   `json:",omitempty"`
	BackedUp       bool   `json:",omitempty"`
}

type guessRow struct {
	Paid time.Time // see Logins.Guess
}

type noticeRow struct {
	Since  time.Time
	Code   codes.Code
	Params map[string]string `json:",omitempty"`
}

func (row userRow) user(k id) idlepush.User {
	return idlepush.User{ID: string(k), Name: row.Name, Admin: row.Admin, Created: row.Created, PasswordGiven: row.Password.Given}
}

type tokenRow struct {
	ID      string
	User    string
	By      string `json:",omitempty"` // id of the session, token or passkey by which it was made
	Name    string
	Scope   idlepush.Scope
	Content idlepush.Level `json:",omitempty"` // of the last device that it had, if that is removed
	Created time.Time
	Expires time.Time `json:",omitzero"`
	Session bool      `json:",omitempty"`
	Proved  time.Time `json:",omitzero"` // when the password was given or a passkey used last
	Stay    bool      `json:",omitempty"`
	Used    time.Time `json:",omitzero"`
	Era     uint64    `json:",omitempty"`
}

type inviteRow struct {
	ID      string
	User    string // who made it; empty: the admin token, or somebody on the server
	By      string `json:",omitempty"` // as of a token
	For     InviteFor
	Admin   bool `json:",omitempty"`
	Created time.Time
	Expires time.Time
	Era     uint64 `json:",omitempty"`

	// Of a password link: whose password, the era of that user, and the stable id of the
	// notification about the link.
	Person    string `json:",omitempty"`
	PersonEra uint64 `json:",omitempty"`
	Told      string `json:",omitempty"`
}

type accountRow struct {
	Revision   uint64
	Owner      string
	SharedWith []shareRow `json:",omitempty"`
	Offers     []offerRow `json:",omitempty"`
	Email      string
	Host       string
	Port       int
	Security   idlepush.Security
	Pin        idlepush.Fingerprint `json:",omitempty"`
	Username   string
	OAuth      string `json:",omitempty"`
	Password   table.Sealed
	Folders    []string
	Link       string `json:",omitempty"`
	Enabled    bool
	Created    time.Time
	Edited     time.Time
	Mailbox    string `json:",omitempty"`
}

// login names the server that gets the password of an account, and the user there. Pin counts, as
// it lets the password go to another server.
func (row accountRow) login() []string {
	return []string{row.Host, strconv.Itoa(row.Port), string(row.Security), string(row.Pin), row.Username}
}

// passwordPlace returns the place of the sealed password, which opens for this login alone.
func (row accountRow) passwordPlace(tx *table.Tx, k id) table.Place {
	return accounts.Place(tx, k).With(row.login()...)
}

// grantRow is what a person has consented to. It is apart from the account because providers give
// another token with each use.
type grantRow struct {
	Refresh table.Sealed // the refresh token
}

// clientRow is an idlepush.OAuthClient. Its provider is the key.
type clientRow struct {
	Issuer string `json:",omitempty"`
	ID     string
	Secret table.Sealed
}

// shareRow is a user with whom an account is shared. The user sees the notifications after the
// sequence Since.
type shareRow struct {
	User  string
	Since uint64
}

// offerRow is an idlepush.Offer to a user.
type offerRow struct {
	ID   string
	User string
	At   time.Time
}

// askedRow is what bounds how often an owner asks a person to share accounts, whatever they are.
type askedRow struct {
	// When the person was last notified of an offer. It is zero again once one is accepted.
	Told    time.Time `json:",omitzero"`
	Refused time.Time `json:",omitzero"` // when the person last declined or left an account
}

// viewers returns the users who may see the account.
func (row accountRow) viewers() []string {
	list := append([]string{row.Owner}, row.sharers()...)
	slices.Sort(list)
	return slices.Compact(list)
}

// standingRow is what the watcher knows of an account.
type standingRow struct {
	Status statusRow
	Told   string `json:",omitempty"`
	Unread *int   `json:",omitempty"` // nil: not known
	Day    dayRow `json:",omitzero"`
}

// looksLike reports whether callers see no difference between the two. The day is for the store
// alone.
func (row standingRow) looksLike(other standingRow) bool {
	row.Day = other.Day
	return reflect.DeepEqual(row, other)
}

// statusRow is the status of an account or of a device.
type statusRow struct {
	State    idlepush.State
	Since    time.Time
	Code     codes.Code        `json:",omitempty"`
	Params   map[string]string `json:",omitempty"`
	Proof    time.Time         `json:",omitzero"`
	Failures int               `json:",omitempty"`
	Failing  time.Time         `json:",omitzero"`
	Retry    time.Time         `json:",omitzero"`
	LoggedIn time.Time         `json:",omitzero"`
}

type cursorRow struct {
	UIDValidity uint32
	Next        uint32
	Seen        time.Time
	Since       time.Time `json:",omitzero"`
}

type hostRow struct {
	Interval        time.Duration   `json:",omitzero"`
	Since           time.Time       `json:",omitzero"`
	RecentDrops     []time.Duration `json:",omitempty"`
	LastDrop        time.Time       `json:",omitzero"`
	FatalSilence    time.Duration   `json:",omitzero"`
	MissedNews      int             `json:",omitempty"`
	DistrustedSince time.Time       `json:",omitzero"`
	Reports         bool            `json:",omitzero"`
	Unanswered      time.Duration   `json:",omitzero"`
	DiedUnnoticed   time.Time       `json:",omitzero"`
}

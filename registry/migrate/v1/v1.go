// Package v1 describes the store in format 1: its tables with their rows, keys and indexes, as they
// are in the file. Stores of this format exist, so nothing here may change, least of all the names
// of fields. The comments on the rows are in registry/rows.go and devicerows.go of a release with
// this format.
//
// It is a package of its own so that every version can use the same names.
package v1

import (
	"slices"
	"time"

	"idlepush/registry/table"
)

// Format is the version in the row [MetaFormat].
const Format = 1

// The tables, each with its indexes.
var (
	Users = table.NewTagged[ID, User]("users")
	_     = table.NewIndex(Users, "users/name", func(_ ID, row User) (list []table.Text) {
		for _, key := range row.NameKeys {
			list = append(list, table.Text(key))
		}
		return list
	})
	_ = table.NewIndex(Users, "users/over", func(k ID, row User) []ID {
		if len(row.Over) == 0 {
			return nil
		}
		return []ID{k}
	})

	Tokens = table.NewTagged[Digest, Token]("tokens")
	_      = table.NewIndex(Tokens, "tokens/user", func(k Digest, row Token) []Owned {
		return []Owned{{ID(row.User), ID(row.By), k}}
	})
	_ = table.NewIndex(Tokens, "tokens/id", func(_ Digest, row Token) []ID { return []ID{ID(row.ID)} })

	Invites = table.NewTagged[Digest, Invite]("invites")
	_       = table.NewIndex(Invites, "invites/user", func(k Digest, row Invite) []Owned {
		return []Owned{{ID(row.User), ID(row.By), k}}
	})
	_ = table.NewIndex(Invites, "invites/id", func(_ Digest, row Invite) []ID { return []ID{ID(row.ID)} })
	_ = table.NewIndex(Invites, "invites/person", func(_ Digest, row Invite) []ID {
		if row.For != "password" {
			return nil
		}
		return []ID{ID(row.Person)}
	})

	Accounts = table.NewTagged[ID, Account]("accounts")
	_        = table.NewIndex(Accounts, "accounts/user", func(k ID, row Account) (list []IDs) {
		users := []string{row.Owner}
		for _, share := range row.SharedWith {
			users = append(users, share.User)
		}
		slices.Sort(users)
		for _, user := range slices.Compact(users) {
			list = append(list, IDs{ID(user), k})
		}
		return list
	})
	_ = table.NewIndex(Accounts, "accounts/offered", func(k ID, row Account) (list []IDs) {
		for _, offer := range row.Offers {
			list = append(list, IDs{ID(offer.User), k})
		}
		return list
	})
	_ = table.NewIndex(Accounts, "accounts/mailbox", func(_ ID, row Account) []Digest {
		return []Digest{mailbox(row.Host, row.Username)}
	})

	Clients = table.NewTagged[table.Text, Client]("clients")
	Grants  = table.NewTagged[ID, Grant]("grants")

	Asked     = table.New[IDs, AskedRow]("asked") // by owner
	Guesses   = table.New[ID, Guess]("guesses")
	Standings = table.New[ID, Standing]("standings")
	Cursors   = table.New[FolderKey, Cursor]("cursors")
	Hosts     = table.New[table.Text, Host]("hosts")

	Devices = table.NewTagged[IDs, Device]("devices") // by user
	_       = table.NewIndex(Devices, "devices/id", func(k IDs, _ Device) []ID { return []ID{k.Second} })
	_       = table.NewIndex(Devices, "devices/address", func(_ IDs, row Device) []Digest {
		return []Digest{row.Address}
	})

	WishesOf       = table.NewTagged[IDs, WishesRow]("wishes")             // by user and account
	DeviceWishesOf = table.NewTagged[IDs, DeviceWishesRow]("devicewishes") // by user
	Senders        = table.New[senderKey, Sender]("senders")

	Queues = table.New[ID, Queue]("queues")
	_      = table.NewIndex(Queues, "queues/due", func(k ID, row Queue) []dueKey {
		if row.Due.IsZero() {
			return nil
		}
		return []dueKey{{row.Lane, row.User, row.Slow, row.Due, k}}
	})
	_ = table.NewIndex(Queues, "queues/lane", func(k ID, row Queue) []memberKey {
		return []memberKey{{row.Lane, row.Status.State == "proven", row.User, k}}
	})
	Lanes = table.New[table.Text, Lane]("lanes")
	Trips = table.New[ID, trips]("trips")

	Notifications = table.New[NotificationKey, Notification]("notifications")
	_             = table.NewIndex(Notifications, "notifications/keys", func(k NotificationKey, row Notification) []StableKey {
		return []StableKey{{k.Scope, row.ID}}
	})
	_ = table.NewIndex(Notifications, "notifications/keys", func(k NotificationKey, row Notification) []fingerprintKey {
		if row.Fingerprint == "" || row.Code == "duplicate" || row.Kind == "known" {
			return nil
		}
		return []fingerprintKey{{k.Scope, digestOf(row.Fingerprint), k.Seq}}
	})
	_ = table.NewIndex(Notifications, "notifications/keys", func(k NotificationKey, row Notification) []knownKey {
		if row.Kind != "known" {
			return nil
		}
		return []knownKey{{k.Scope, digestOf(row.Folder + "\x00" + row.Fingerprint), row.UIDValidity, row.UID, k.Seq}}
	})
	_ = table.NewIndex(Notifications, "notifications/keys", func(k NotificationKey, row Notification) []duplicateKey {
		if row.Fingerprint == "" || row.Code != "duplicate" || row.Removed {
			return nil
		}
		return []duplicateKey{{k.Scope, digestOf(row.Fingerprint), k.Seq}}
	})
	_ = table.NewIndex(Notifications, "notifications/keys", func(k NotificationKey, row Notification) []PlaceKey {
		if row.Kind != "mail" || row.Code != "" && row.Undecided != "mail" || !row.Cleared.IsZero() {
			return nil
		}
		return []PlaceKey{{k.Scope, digestOf(row.Folder), row.UIDValidity, row.UID}}
	})
	_ = table.NewIndex(Notifications, "notifications/wordless", func(k NotificationKey, row Notification) []NotificationKey {
		if !row.Wordless || !row.Cleared.IsZero() {
			return nil
		}
		return []NotificationKey{k}
	})
	_ = table.NewIndex(Notifications, "notifications/notrung", func(k NotificationKey, row Notification) []NotificationKey {
		if row.Kind != "mail" || row.Code == "" || row.Undecided != "" || row.Code == "duplicate" && !row.Cleared.IsZero() {
			return nil
		}
		return []NotificationKey{k}
	})
	_ = table.NewIndex(Notifications, "notifications/undecided", func(k NotificationKey, row Notification) []undecidedKey {
		if row.Undecided == "" {
			return nil
		}
		return []undecidedKey{{row.Undecided, k.Scope, digestOf(row.Folder), k.Seq}}
	})
	_ = table.NewIndex(Notifications, "notifications/unfinished", func(k NotificationKey, row Notification) []NotificationKey {
		if len(row.Unqueued) == 0 {
			return nil
		}
		return []NotificationKey{k}
	})

	Deliveries = table.New[DeliveryKey, Delivery]("deliveries")
	_          = table.NewIndex(Deliveries, "deliveries/waiting", func(k DeliveryKey, row Delivery) []waitingKey {
		if row.State != "pending" {
			return nil
		}
		return []waitingKey{{k.Device, line(row.Kind, k.Notification.Scope), k.Notification.Seq}}
	})

	Metas = table.New[table.Text, Meta]("meta")
)

// The rows of Metas.
const (
	MetaFormat    table.Text = "format"
	MetaVAPID     table.Text = "vapid"
	MetaSetup     table.Text = "setup"
	MetaPublicURL table.Text = "public-url"
	MetaSequence  table.Text = "sequence"
)

type Meta struct {
	Number uint64 `json:",omitempty"`
	// Of the format: "idlepush". Of the VAPID key: a []byte. Of the setup token: its SHA-256, a
	// Digest. Of the public URL: a string.
	Sealed table.Sealed `json:",omitempty"`
}

type User struct {
	Name     string
	NameKeys []string
	Admin    bool
	Created  time.Time
	Password password
	Era      uint64
	Notices  []notice          `json:",omitempty"`
	Over     []string          `json:",omitempty"`
	Troubles map[string]string `json:",omitempty"`
	Browsers []Digest          `json:",omitempty"`

	Passkeys     []passkey `json:",omitempty"`
	OnlyPasskeys bool      `json:",omitempty"`
}

type passkey struct {
	ID             string
	By             string `json:",omitempty"`
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

type notice struct {
	Since  time.Time
	Code   string
	Params map[string]string `json:",omitempty"`
}

// Password is an argon2id hash.
type password struct {
	Salt, Hash   []byte
	Time, Memory uint32
	Given        bool `json:",omitempty"`
}

type Token struct {
	ID      string
	User    string
	By      string `json:",omitempty"`
	Name    string
	Scope   string
	Content string `json:",omitempty"`
	Created time.Time
	Expires time.Time `json:",omitzero"`
	Session bool      `json:",omitempty"`
	Proved  time.Time `json:",omitzero"`
	Stay    bool      `json:",omitempty"`
	Used    time.Time `json:",omitzero"`
	Era     uint64    `json:",omitempty"`
}

type Invite struct {
	ID      string
	User    string
	By      string `json:",omitempty"`
	For     string
	Admin   bool `json:",omitempty"`
	Created time.Time
	Expires time.Time
	Era     uint64 `json:",omitempty"`

	Person    string `json:",omitempty"`
	PersonEra uint64 `json:",omitempty"`
	Told      string `json:",omitempty"`
}

type Client struct {
	Issuer string `json:",omitempty"`
	ID     string
	Secret table.Sealed
}

type Account struct {
	Revision   uint64
	Owner      string
	SharedWith []share `json:",omitempty"`
	Offers     []offer `json:",omitempty"`
	Email      string
	Host       string
	Port       int
	Security   string
	Pin        string `json:",omitempty"`
	Username   string
	OAuth      string       `json:",omitempty"`
	Password   table.Sealed // a string; its place is With host, port, security, pin and username
	Folders    []string
	Link       string `json:",omitempty"`
	Enabled    bool
	Created    time.Time
	Edited     time.Time
	Mailbox    string `json:",omitempty"`
}

type Grant struct {
	Refresh table.Sealed // a string; its place is With OAuth and what the password's is
}

type share struct {
	User  string
	Since uint64
}

type offer struct {
	ID   string
	User string
	At   time.Time
}

type AskedRow struct {
	Told    time.Time `json:",omitzero"`
	Refused time.Time `json:",omitzero"`
}

type Standing struct {
	Status status
	Told   string `json:",omitempty"`
	Unread *int   `json:",omitempty"`
	Day    day    `json:",omitzero"`
}

type day struct {
	Began time.Time `json:",omitzero"`
	Mails int       `json:",omitempty"`
}

type status struct {
	State    string
	Since    time.Time
	Code     string            `json:",omitempty"`
	Params   map[string]string `json:",omitempty"`
	Proof    time.Time         `json:",omitzero"`
	Failures int               `json:",omitempty"`
	Failing  time.Time         `json:",omitzero"`
	Retry    time.Time         `json:",omitzero"`
	LoggedIn time.Time         `json:",omitzero"`
}

type Cursor struct {
	UIDValidity uint32
	Next        uint32
	Seen        time.Time
	Since       time.Time `json:",omitzero"`
}

type Guess struct {
	Paid time.Time
}

type Host struct {
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

type Device struct {
	Revision   uint64
	Name       string
	By         string `json:",omitempty"`
	Transport  string
	Address    Digest
	Secrets    table.Sealed // a DeviceSecrets
	Content    string
	Accounts   []string `json:",omitzero"`
	Created    time.Time
	Registered time.Time
}

type DeviceSecrets struct {
	Address string
	Keys    *keys             `json:",omitempty"`
	Params  map[string]string `json:",omitempty"`
}

type keys struct{ P256dh, Auth string }

type WishesRow struct {
	Since   uint64       `json:",omitempty"`
	Mailbox string       `json:",omitempty"`
	Words   bool         `json:",omitempty"`
	Sealed  table.Sealed // a Wishes
}

type DeviceWishesRow struct {
	Sealed table.Sealed // a DeviceWishes
}

type Sender struct {
	Seen time.Time
}

type Queue struct {
	Due       time.Time `json:",omitzero"`
	Holding   bool      `json:",omitempty"`
	User      ID
	Lane      string
	Slow      bool `json:",omitempty"`
	MustShow  bool `json:",omitempty"`
	Status    status
	Subqueues map[string]subqueue `json:",omitempty"`
	Chain     chain               `json:",omitzero"`
}

type chain struct {
	Queued     time.Time `json:",omitzero"`
	Last       receipt   `json:",omitzero"`
	Unanswered int       `json:",omitempty"`
	Since      time.Time `json:",omitzero"`
	Told       string    `json:",omitempty"`
	Test       test      `json:",omitzero"`
}

type test struct {
	Seq     uint64
	Receipt receipt
}

type receipt struct {
	Received time.Time `json:",omitzero"`
	Shown    time.Time `json:",omitzero"`
	Opened   time.Time `json:",omitzero"`
}

type trips struct {
	Last []trip
}

type trip struct {
	At     time.Time
	Millis int64
}

type subqueue struct {
	Head       uint64      `json:",omitempty"`
	NotifiedAt []time.Time `json:",omitempty"`
	HeldFrom   time.Time   `json:",omitzero"`
	HeldUntil  time.Time   `json:",omitzero"`
	Combined   string      `json:",omitempty"`
}

type Lane struct {
	Since   time.Time
	Until   time.Time         `json:",omitzero"`
	Accused string            `json:",omitempty"`
	Refused int               `json:",omitempty"`
	Code    string            `json:",omitempty"`
	Params  map[string]string `json:",omitempty"`
}

type Notification struct {
	ID          string
	Kind        string
	User        bool   `json:",omitempty"`
	Folder      string `json:",omitempty"`
	At          time.Time
	Expires     time.Time
	Code        string       `json:",omitempty"`
	Sealed      table.Sealed // a Content
	Clear       []string     `json:",omitempty"`
	Count       int          `json:",omitempty"`
	Read        int          `json:",omitempty"`
	UIDValidity uint32       `json:",omitempty"`
	UID         uint32       `json:",omitempty"`
	Fingerprint string       `json:",omitempty"`
	Wordless    bool         `json:",omitempty"`
	Cleared     time.Time    `json:",omitzero"`
	Unqueued    []string     `json:",omitempty"`
	Undecided   string       `json:",omitempty"`
	Removed     bool         `json:",omitempty"`
	Earlier     int          `json:",omitempty"`
	Silent      bool         `json:",omitempty"`
}

type Content struct {
	From      string            `json:",omitempty"`
	Subject   string            `json:",omitempty"`
	MessageID string            `json:",omitempty"`
	Preview   string            `json:",omitempty"`
	OneTime   string            `json:",omitempty"`
	Params    map[string]string `json:",omitempty"`
	Facts     facts             `json:",omitzero"`
}

type Delivery struct {
	Kind            string
	Expires         time.Time
	State           string
	At              time.Time         `json:",omitzero"`
	Into            string            `json:",omitempty"`
	Read            bool              `json:",omitempty"`
	Attempts        int               `json:",omitempty"`
	MaybeDelivered  bool              `json:",omitempty"`
	Code            string            `json:",omitempty"`
	Params          map[string]string `json:",omitempty"`
	DeliveredBefore time.Time         `json:",omitzero"`
	Withdrawn       time.Time         `json:",omitzero"`
	Held            bool              `json:",omitempty"`
	Decision        *decision         `json:",omitempty"`
	Receipt         receipt           `json:",omitzero"`
}

package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// prefix is the path of the API.
const prefix = "/api/v1"

// handlers holds the handlers of the API, by what they serve.
type handlers struct {
	sessions      *sessionHandlers
	users         *userHandlers
	invites       *inviteHandlers
	tokens        *tokenHandlers
	passkeys      *passkeyHandlers
	accounts      *accountHandlers
	oauthClients  *oauthClientHandlers
	consents      *consentHandlers
	devices       *deviceHandlers
	notifications *notificationHandlers
	events        *eventHandlers
	advice        *adviceHandlers
	wishes        *wishHandlers
	state         *stateHandlers
	receipts      *receiptHandlers
}

func newHandlers(c Config, g *guard, l *limits) *handlers {
	h := &handlers{
		sessions:      &sessionHandlers{users: c.Users, logins: c.Logins, limits: l, log: c.Log},
		users:         &userHandlers{users: c.Users, logins: c.Logins, accounts: c.Accounts, devices: c.Devices, limits: l, codes: c.Codes},
		tokens:        &tokenHandlers{users: c.Users, logins: c.Logins, publicURL: c.PublicURL},
		accounts:      &accountHandlers{users: c.Users, accounts: c.Accounts, limits: l, mail: c.Mail, codes: c.Codes},
		oauthClients:  &oauthClientHandlers{c.Logins, c.Accounts, c.OAuth, c.PublicURL, l, c.Codes},
		devices:       &deviceHandlers{users: c.Users, accounts: c.Accounts, devices: c.Devices, limits: l, transports: c.Push.Transports, push: c.Push, codes: c.Codes},
		notifications: &notificationHandlers{accounts: c.Accounts, devices: c.Devices, history: c.History, codes: c.Codes, replay: c.Push.Replay},
		events:        &eventHandlers{history: c.History, guard: g, stopping: c.Stopping, streams: streams{count: make(map[string]int)}},
		advice:        &adviceHandlers{c.Advice, g, c.Codes},
		state:         &stateHandlers{c.Accounts, c.Devices, c.Mail.Live, c.Broken, c.Codes},
		receipts:      &receiptHandlers{c.Devices, l},
	}
	h.consents = &consentHandlers{logins: c.Logins, accounts: h.accounts, clients: h.oauthClients, publicURL: c.PublicURL, log: c.Log, work: make(chan work), ended: make(chan struct{})}
	h.accounts.consents = h.consents
	h.passkeys = &passkeyHandlers{logins: c.Logins, limits: l, sessions: h.sessions, publicURL: c.PublicURL}
	h.users.passkeys = h.passkeys
	h.wishes = &wishHandlers{accounts: h.accounts, devices: h.devices, notifications: h.notifications, limits: l, replay: c.Push.Replay}
	h.invites = &inviteHandlers{users: c.Users, logins: c.Logins, limits: l, sessions: h.sessions, publicURL: c.PublicURL}
	return h
}

// routes registers everything that is served.
func (s *Server) routes(h *handlers, c Config) {
	config := huma.DefaultConfig("idlepush", c.Version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	config.Info.Description = "Times are RFC 3339 in UTC, ids are opaque. Another user's id is answered with 404."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "A token of POST /tokens or POST /setup, or the admin token"},
		"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "Set by POST /login, POST /login/passkey, POST /setup and POST /invites/accept; on http on the own machine it is called " + plain(cookieName)},
	}
	s.api = humago.NewWithPrefix(s.mux, prefix, config)

	add(s, route{anyone, "GET /setup", "getSetup", 200, "Whether somebody must be set up first"}, h.sessions.getSetup)
	add(s, route{anyone, "POST /setup", "setUp", 201, "Create the first admin, with the one-time token from the log"}, h.sessions.setUp)
	add(s, route{anyone, "POST /login", "logIn", 200, "Start a session, with a cookie"}, h.sessions.logIn)
	add(s, route{anyone, "POST /login/passkey", "logInByPasskey", 200, "Start a session by a passkey, with a cookie"}, h.passkeys.logIn)
	add(s, route{full | given, "DELETE /login", "logOut", 204, "End this session, and the invites and devices that were made by it"}, h.sessions.logOut)
	add(s, route{full, "POST /proof", "prove", 204, "Give the password again, or use a passkey: for 10 minutes, this session or token may do what wants proof"}, h.passkeys.giveProof)
	add(s, route{full | given, "GET /me", "getMe", 200, "Own user, and what the page is to tell"}, h.users.getMe)
	add(s, route{full | given, "PATCH /me", "patchMe", 200, "Change own name or password; a new password ends all sessions, tokens of full scope and invites"}, h.users.patchMe)
	add(s, route{full | given, "DELETE /me/notice", "dismissNotice", 204, "Dismiss what the page has told"}, h.users.dismissNotice)

	add(s, route{anyone, "POST /passkeys/challenge", "challengePasskey", 200, "Begin the use of a passkey, to log in or as a proof; the browser that asks may answer, which its cookie shows"}, h.passkeys.challenge)
	add(s, route{full, "POST /passkeys/options", "beginPasskey", 200, "Begin to make a passkey; wants the password, or the use of another passkey, in this request"}, h.passkeys.options)
	add(s, route{full | given, "GET /passkeys", "listPasskeys", 200, "Own passkeys, newest first"}, h.passkeys.list)
	add(s, route{full, "POST /passkeys", "createPasskey", 201, "Add a passkey that the browser has made; own devices are told"}, h.passkeys.create)
	add(s, route{full, "PATCH /passkeys/{id}", "patchPasskey", 204, "Rename a passkey"}, h.passkeys.rename)
	add(s, route{full, "DELETE /passkeys/{id}", "deletePasskey", 204, "Remove a passkey, and end the sessions that began by it; wants proof"}, h.passkeys.remove)

	add(s, route{full | given, "GET /sessions", "listSessions", 200, "Own sessions, newest first"}, h.sessions.listSessions)
	add(s, route{full, "DELETE /sessions/{id}", "deleteSession", 204, "End a session, and the sessions, tokens, invites and devices that were made by it"}, h.sessions.deleteSession)

	add(s, route{full | admin, "GET /users", "listUsers", 200, "All users with the state of their mailboxes and devices, newest first; for admins"}, h.users.listUsers)
	add(s, route{full | given, "GET /users/names", "listNames", 200, "Names of all users, to share a mailbox with them"}, h.users.listNames)
	add(s, route{full | admin, "POST /users", "createUser", 201, "Create a user; for admins; wants proof"}, h.users.createUser)
	add(s, route{full | admin, "PATCH /users/{id}", "patchUser", 200, "Change a user; for admins; wants proof to make somebody an admin"}, h.users.patchUser)
	add(s, route{full | admin, "DELETE /users/{id}", "deleteUser", 204, "Remove a user with mailboxes, devices, tokens and sessions; for admins"}, h.users.deleteUser)
	add(s, route{full | admin, "GET /advice", "getAdvice", 200, "What should be changed about this server; for admins"}, h.advice.getAdvice)
	add(s, route{full, "GET /invites", "listInvites", 200, "Open invites, newest first: own invites for devices, links for a new password of one's own, and for admins all invites for persons and passwords"}, h.invites.listInvites)
	add(s, route{full | admin, "POST /invites", "createInvite", 201, "Invite another person (admins only) or another browser of the same user, or let a user choose a new password (admins only; the user's devices are told); wants proof; link and QR code are shown only once"}, h.invites.createInvite)
	add(s, route{full, "DELETE /invites/{id}", "deleteInvite", 204, "Delete an invite"}, h.invites.deleteInvite)
	add(s, route{anyone, "POST /invites/look", "lookAtInvite", 200, "Look at an invite; the code is in the body because proxies may log the URL"}, h.invites.lookAtInvite)
	add(s, route{anyone, "POST /invites/accept", "acceptInvite", 201, "Accept an invite and start a session; for a new password, once the devices of the user were told; the code is in the body likewise"}, h.invites.acceptInvite)

	add(s, route{full | given, "GET /tokens", "listTokens", 200, "Own bearer tokens, newest first"}, h.tokens.listTokens)
	add(s, route{full | admin, "POST /tokens", "createToken", 201, "Create a bearer token, which is shown only once; full scope wants proof, and the admin token makes only device scope"}, h.tokens.createToken)
	add(s, route{full, "DELETE /tokens/{id}", "deleteToken", 204, "End a bearer token, and the sessions, tokens, invites and devices that were made by it"}, h.tokens.deleteToken)

	add(s, route{full | given | admin, "GET /state", "getState", 200, "Whether all is well: what of one's own does not work as it should, and since when"}, h.state.getState)
	s.mailRoutes(h)

	s.deviceRoutes(h)
	s.wishRoutes(h.wishes)

	add(s, route{full | given, "GET /events", "events", 200, "Changes as server-sent events"}, h.events.events)
	add(s, route{anyone, "GET /vapid", "getVAPID", 200, "The application server key, for a Web Push subscription"}, h.devices.getVAPID)

	s.documentKnown("/accounts", "/devices")
	describeEvents(s.api.OpenAPI())
	h.devices.transports.describe(s.api.OpenAPI())
	s.documentCodes(c.Codes)
	s.document()
	s.mux.HandleFunc("GET "+redirectPath, s.comeBack)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	if c.Metrics != nil {
		s.mux.Handle("GET /metrics", s.forAdmins(c.Metrics))
	}
	servePage(s.mux)
}

// deviceRoutes adds the routes about devices and their notifications.
func (s *Server) deviceRoutes(h *handlers) {
	add(s, route{device | full | given | admin, "GET /devices", "listDevices", 200, "Own devices, newest first; with a token of device scope the one that it registered"}, h.devices.listDevices)
	add(s, route{device | full | admin, "POST /devices", "createDevice", 201, "Register a device after one proving push; a known address is the same device (200). A token of device scope registers one"}, h.devices.createDevice)
	add(s, route{device | full | admin, "GET /devices/{id}", "getDevice", 200, "One device"}, h.devices.getDevice)
	add(s, route{device | full | admin, "PATCH /devices/{id}", "patchDevice", 200, "Change a device or rotate its address; the id stays. The admin token changes no address"}, h.devices.patchDevice)
	add(s, route{device | full, "DELETE /devices/{id}", "deleteDevice", 204, "Remove a device, and the session or token of device scope that registered it"}, h.devices.deleteDevice)
	add(s, route{device | full | admin, "POST /devices/{id}/test", "testDevice", 200, "Send a test push now and return the outcome"}, h.devices.testDevice)
	add(s, route{device | full | admin, "GET /devices/{id}/preview", "previewDevice", 200, "Show what the push service would receive for a sample mail, and what it could read; sends nothing"}, h.devices.previewDevice)

	add(s, route{anyone, "POST /receipts/{token}", "receive", 204, "Report that a push was received, shown or opened; its payload has the path"}, h.receipts.receive)
	add(s, route{device | full, "GET /notifications", "listNotifications", 200, "Own notifications, newest first; with a token of device scope those that its device was told, at its content level"}, h.notifications.listNotifications)
	add(s, route{device | full, "GET /notifications/{id}", "getNotification", 200, "One notification, by the stable id of its push"}, h.notifications.getNotification)
}

// wishRoutes adds the routes about when mail rings.
func (s *Server) wishRoutes(h *wishHandlers) {
	add(s, route{full, "GET /accounts/{id}/wishes", "getWishes", 200, "What oneself wishes of an account: its name, people, rules and mutes"}, h.getWishes)
	add(s, route{full, "PUT /accounts/{id}/wishes", "putWishes", 200, "Replace what oneself wishes of an account, but for the mutes; what is absent is removed"}, h.putWishes)
	add(s, route{device | full, "POST /accounts/{id}/mutes", "createMute", 201, "Mute an account, a sender or a conversation for oneself; with a token of device scope for its device. It replaces what mutes the same"}, h.createMute)
	add(s, route{device | full, "DELETE /accounts/{id}/mutes/{mute}", "deleteMute", 204, "Let it ring again; with a token of device scope what is muted on its device only"}, h.deleteMute)
	add(s, route{full, "POST /accounts/{id}/rules/try", "tryRules", 200, "Show how the mail of the last 7 days would have rung on own devices, by the wishes as they are and by others; stores nothing"}, h.tryRules)
	add(s, route{device | full, "GET /devices/{id}/wishes", "getDeviceWishes", 200, "What is wished of a device: its quiet hours and folders, and when it shows a heartbeat"}, h.getDeviceWishes)
	add(s, route{device | full, "PUT /devices/{id}/wishes", "putDeviceWishes", 200, "Replace what is wished of a device; what is absent is removed"}, h.putDeviceWishes)
}

// mailRoutes adds the routes about mailboxes: how they are found, opened and shared.
func (s *Server) mailRoutes(h *handlers) {
	add(s, route{full | admin, "POST /accounts/discover", "discover", 200, "Find the settings of a mail address; third parties learn only its domain"}, h.accounts.discover)
	add(s, route{full | admin, "POST /accounts/check", "checkAccount", 200, "Try a login and return what the server offers; stores nothing"}, h.accounts.checkAccount)
	add(s, route{device | full | given | admin, "GET /accounts", "listAccounts", 200, "Own and shared accounts, newest first; with a token of device scope only their names"}, h.accounts.listAccounts)
	add(s, route{full | admin, "POST /accounts", "createAccount", 201, "Watch a mailbox after a successful login; a mailbox that is watched already is shared (200). The user is told of what the admin token adds"}, h.accounts.createAccount)
	add(s, route{full | admin, "GET /accounts/{id}", "getAccount", 200, "One account"}, h.accounts.getAccount)
	add(s, route{full, "GET /accounts/{id}/folders", "listFolders", 200, "List the folders of an account on its mail server; for its owner"}, h.accounts.listFolders)
	add(s, route{full, "POST /accounts/{id}/examine", "examineAccount", 200, "Go the way to the mailbox of an account, and return each step; for its owner"}, h.accounts.examineAccount)
	add(s, route{full | admin, "PATCH /accounts/{id}", "patchAccount", 200, "Change an account; for its owner, who is told of what the admin token changes"}, h.accounts.patchAccount)
	add(s, route{full | admin, "DELETE /accounts/{id}", "deleteAccount", 204, "Remove an account; a user with whom it is shared leaves it, and is offered nothing by its owner for a week. The owner is told if the admin token removes it"}, h.accounts.deleteAccount)

	add(s, route{full | admin, "GET /clients", "listClients", 200, "All OAuth providers with the clients of this server; for admins"}, h.oauthClients.list)
	add(s, route{full | admin, "PATCH /clients/{provider}", "patchClient", 200, "Set or remove the client of an OAuth provider; for admins; wants proof"}, h.oauthClients.change)

	add(s, route{full, "POST /consents", "createConsent", 201, "Begin to sign in to a mailbox at its provider, or to renew that; the mailbox must open before the consent is ready. It is used once, within 10 minutes"}, h.consents.create)
	add(s, route{full, "GET /consents/{id}", "getConsent", 200, "How far a sign-in of one's own has come"}, h.consents.get)
	add(s, route{full, "DELETE /consents/{id}", "deleteConsent", 204, "End a sign-in"}, h.consents.remove)

	add(s, route{full | given, "GET /offers", "listOffers", 200, "Mailboxes that others offer to share, newest first"}, h.accounts.listOffers)
	add(s, route{full, "POST /offers/{id}/accept", "acceptOffer", 204, "Accept an offer: the mailbox is shared, and what rings from now on is seen; the owner is told"}, h.accounts.acceptOffer)
	add(s, route{full, "DELETE /offers/{id}", "declineOffer", 204, "Decline an offer; its owner can offer nothing for a week"}, h.accounts.declineOffer)
}

// route is one line of the table.
type route struct {
	who     access
	at      string // method and path, below prefix
	id      string
	status  int // on success
	summary string
}

// add registers a route and its handler, and documents both.
func add[I, O any](s *Server, r route, handle func(context.Context, caller, *I) (*O, error)) {
	method, path, _ := strings.Cut(r.at, " ")
	op := huma.Operation{
		OperationID: r.id, Method: method, Path: path, DefaultStatus: r.status, Summary: r.summary,
		Tags:            []string{strings.Split(path, "/")[1]},
		BodyReadTimeout: -1,          // readBody has read it
		MaxBodyBytes:    maxBody + 1, // readBody has checked it; huma refuses the exact limit
		Middlewares:     huma.Middlewares{s.admit(r.who)},
	}
	if r.who != anyone {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, callerOf(ctx), in)
		if err != nil {
			return nil, s.problemOf(&op, err)
		}
		return out, nil
	})
}

// documentKnown documents that a POST to one of these paths answers with 200 if the thing exists
// already.
func (s *Server) documentKnown(paths ...string) {
	for _, path := range paths {
		responses := s.api.OpenAPI().Paths[path].Post.Responses
		responses[strconv.Itoa(http.StatusOK)] = &huma.Response{Description: "It existed already", Content: responses[strconv.Itoa(http.StatusCreated)].Content}
	}
}

// document serves the OpenAPI document. huma itself would make it at the first request, without a
// lock.
func (s *Server) document() {
	doc, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode the OpenAPI document: %v", err))
	}
	s.mux.HandleFunc("GET "+prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(doc)
	})
}

// byID is the input of a route for one thing.
type byID struct {
	ID string `path:"id"`
}

// body is an input or an answer that consists of a body. edit is the input that changes one thing,
// and made is the answer to a POST that may find an existing one.
type body[T any] struct{ Body T }

type edit[T any] struct {
	ID   string `path:"id"`
	Body T
}

type made[T any] struct {
	Status int
	Body   T
}

// statusOf returns the status of a made.
func statusOf(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// forAdmins serves h to the admin token, and to sessions and tokens of admins.
func (s *Server) forAdmins(h http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := s.guard.admit(r, full|admin, s.guard.originOf(r))
		if err == nil {
			err = requireAdmin(c)
		}
		if err != nil {
			s.problemOf(&huma.Operation{Method: r.Method, Path: r.URL.Path}, err).write(w)
			return
		}
		h.ServeHTTP(w, r)
	}
}

// healthz reports that the process answers.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// readyz reports whether the server can work. The reason is only in the log, because anyone can
// ask.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.ready(); err != nil {
		s.log.Warn("not ready", "err", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("not ready\n"))
		return
	}
	w.Write([]byte("ready\n"))
}

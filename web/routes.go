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

// prefix is where the API is.
const prefix = "/api/v1"

// routes is all that is served.
func (s *server) routes() {
	config := huma.DefaultConfig("idlepush", s.Version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	config.Info.Description = "Times are RFC 3339 in UTC, ids are opaque. Another user's id is answered with 404."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "A token of POST /tokens or POST /setup, or the admin token"},
		"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "Set by POST /login, POST /setup and POST /invites/{invite}; on http on the own machine it is called " + plainCookieName},
	}
	s.api = humago.NewWithPrefix(s.mux, prefix, config)

	add(s, route{anyone, "POST /setup", "setUp", 201, "Make the first admin, with the one-time token of the log"}, s.setUp)
	add(s, route{anyone, "POST /login", "logIn", 200, "Begin a session, kept in a cookie"}, s.logIn)
	add(s, route{full, "DELETE /login", "logOut", 204, "End this session"}, s.logOut)
	add(s, route{full, "GET /me", "getMe", 200, "The user who asks"}, s.getMe)
	add(s, route{full, "PATCH /me", "patchMe", 200, "Change one's own name or password; a new password ends all sessions"}, s.patchMe)

	add(s, route{full, "GET /sessions", "listSessions", 200, "The browsers in which one is logged in, newest first"}, s.listSessions)
	add(s, route{full, "DELETE /sessions/{id}", "deleteSession", 204, "End a session; the device that was registered in it goes with it"}, s.deleteSession)

	add(s, route{full | admin, "GET /users", "listUsers", 200, "All people, newest first, and whether what they have works; for admins"}, s.listUsers)
	add(s, route{full, "GET /users/names", "listNames", 200, "The names of all people, to share a mailbox with"}, s.listNames)
	add(s, route{full | admin, "POST /users", "createUser", 201, "Make a user; for admins"}, s.createUser)
	add(s, route{full | admin, "PATCH /users/{id}", "patchUser", 200, "Change a user; for admins"}, s.patchUser)
	add(s, route{full | admin, "DELETE /users/{id}", "deleteUser", 204, "Remove a user with mailboxes, devices, tokens and sessions; for admins"}, s.deleteUser)
	add(s, route{full, "GET /invites", "listInvites", 200, "Invites that can be accepted, newest first: own ones for devices, for admins all for persons"}, s.listInvites)
	add(s, route{full, "POST /invites", "createInvite", 201, "Invite another person, which admins can, or another browser of one's own; link and QR code are shown only now"}, s.createInvite)
	add(s, route{full, "DELETE /invites/{invite}", "deleteInvite", 204, "Take an invite back"}, s.deleteInvite)
	add(s, route{anyone, "POST /invites/look", "lookAtInvite", 200, "What an invite is for; its code is not in the address, which proxies may log"}, s.lookAtInvite)
	add(s, route{anyone, "POST /invites/{invite}", "acceptInvite", 201, "Accept an invite, and begin a session"}, s.acceptInvite)

	add(s, route{full, "GET /tokens", "listTokens", 200, "Own bearer tokens, newest first"}, s.listTokens)
	add(s, route{full | admin, "POST /tokens", "createToken", 201, "Make a bearer token, which is shown only now"}, s.createToken)
	add(s, route{full, "DELETE /tokens/{id}", "deleteToken", 204, "End a bearer token"}, s.deleteToken)

	add(s, route{full | admin, "POST /accounts/discover", "discover", 200, "Look for the settings of a mail address; only its domain is told to third parties"}, s.discover)
	add(s, route{full | admin, "POST /accounts/check", "checkAccount", 200, "Try a login and tell what the server offers; stores nothing"}, s.checkAccount)
	add(s, route{device | full | admin, "GET /accounts", "listAccounts", 200, "Own and shared accounts, newest first; a token of device scope gets their names"}, s.listAccounts)
	add(s, route{full | admin, "POST /accounts", "createAccount", 201, "Watch a mailbox, once the login has worked; one that is watched already is shared (200)"}, s.createAccount)
	add(s, route{full | admin, "GET /accounts/{id}", "getAccount", 200, "One account"}, s.getAccount)
	add(s, route{full | admin, "GET /accounts/{id}/folders", "listFolders", 200, "Ask the mail server of an account for its folders; its owner may"}, s.listFolders)
	add(s, route{full | admin, "PATCH /accounts/{id}", "patchAccount", 200, "Change an account; its owner may"}, s.patchAccount)
	add(s, route{full | admin, "DELETE /accounts/{id}", "deleteAccount", 204, "Stop watching; one with whom it is shared leaves it"}, s.deleteAccount)

	add(s, route{device | full | admin, "GET /devices", "listDevices", 200, "Own devices, newest first"}, s.listDevices)
	add(s, route{device | full | admin, "POST /devices", "createDevice", 201, "Register a device after one proving push; a known address is the same device (200)"}, s.createDevice)
	add(s, route{device | full | admin, "GET /devices/{id}", "getDevice", 200, "One device"}, s.getDevice)
	add(s, route{device | full | admin, "PATCH /devices/{id}", "patchDevice", 200, "Change a device, or rotate its address with the id kept"}, s.patchDevice)
	add(s, route{device | full | admin, "DELETE /devices/{id}", "deleteDevice", 204, "Remove a device and what is queued for it"}, s.deleteDevice)
	add(s, route{device | full | admin, "POST /devices/{id}/test", "testDevice", 200, "Send a test push now and tell what the service said"}, s.testDevice)
	add(s, route{device | full | admin, "GET /devices/{id}/preview", "previewDevice", 200, "What the push service would receive for a sample mail, and what it can read of that; nothing is sent"}, s.previewDevice)

	add(s, route{device | full, "GET /notifications", "listNotifications", 200, "What rang, newest first"}, s.listNotifications)
	add(s, route{device | full, "GET /notifications/{id}", "getNotification", 200, "One notification, by the stable id of its push"}, s.getNotification)

	add(s, route{full, "GET /events", "events", 200, "What changes, as it does, as server-sent events"}, s.events)
	add(s, route{anyone, "GET /vapid", "getVAPID", 200, "The application server key, for a Web Push subscription"}, s.getVAPID)

	s.known("/accounts", "/devices")
	s.describeEvents()
	s.describeTransports()
	s.document()
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.page()
}

// route is one line of the table.
type route struct {
	who     access
	at      string // method and path, below prefix
	id      string
	status  int // of success
	summary string
}

// add registers a route and its handler, and documents both.
func add[I, O any](s *server, r route, handle func(context.Context, caller, *I) (*O, error)) {
	method, path, _ := strings.Cut(r.at, " ")
	op := huma.Operation{
		OperationID: r.id, Method: method, Path: path, DefaultStatus: r.status, Summary: r.summary,
		Tags:            []string{strings.Split(path, "/")[1]},
		BodyReadTimeout: -1,          // readBody has read it
		MaxBodyBytes:    maxBody + 1, // readBody has measured it; huma refuses a body of just its limit
		Middlewares:     huma.Middlewares{s.admit(r.who)},
	}
	if r.who != anyone {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, callerOf(ctx), in)
		if err != nil {
			return nil, s.refusal(&op, err)
		}
		return out, nil
	})
}

// known documents that a POST of these answers with 200 where it finds what it was to make.
func (s *server) known(paths ...string) {
	for _, path := range paths {
		responses := s.api.OpenAPI().Paths[path].Post.Responses
		responses[strconv.Itoa(http.StatusOK)] = &huma.Response{Description: "Known already", Content: responses[strconv.Itoa(http.StatusCreated)].Content}
	}
}

// document serves the OpenAPI document. huma's own way makes it at the first request, without a lock.
func (s *server) document() {
	doc, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		panic(fmt.Sprintf("the routes cannot be documented: %v", err))
	}
	s.mux.HandleFunc("GET "+prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(doc)
	})
}

// byID is the input of a route that names one thing.
type byID struct {
	ID string `path:"id"`
}

// body is an input or an answer that is all body; edit is the input that changes one thing, made the answer to a POST
// that may find it known.
type body[T any] struct{ Body T }

type edit[T any] struct {
	ID   string `path:"id"`
	Body T
}

type made[T any] struct {
	Status int
	Body   T
}

// statusOf is the status of a made.
func statusOf(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// healthz says that the process answers.
func (s *server) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// readyz says whether it can do its work. Why not is in the log: anybody may ask here.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.Ready(); err != nil {
		s.Log.Warn("not ready", "err", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("not ready\n"))
		return
	}
	w.Write([]byte("ready\n"))
}

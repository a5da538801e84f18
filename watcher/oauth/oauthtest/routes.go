package oauthtest

import (
	"net/http"

	"idlepush/registry/registrytest"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+MetadataPath, s.serveMetadata)
	mux.HandleFunc("GET "+authorizePath, s.serveAuthorize)
	mux.HandleFunc("POST "+authorizePath, s.servePage)
	mux.HandleFunc("GET "+EnterPath, s.serveEnter)
	mux.HandleFunc("POST "+EnterPath, s.servePage)
	mux.HandleFunc("POST "+DevicePath, s.serveDevice)
	mux.HandleFunc(TokenPath, s.serveToken)
	mux.HandleFunc("POST "+IntrospectPath, s.serveIntrospection)
	return s.faulty(mux)
}

// serveMetadata answers as RFC 8414 section 3 says.
func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         s.Issuer,
		"authorization_endpoint":                         s.Issuer + authorizePath,
		"token_endpoint":                                 s.Issuer + TokenPath,
		"device_authorization_endpoint":                  s.Issuer + DevicePath,
		"introspection_endpoint":                         s.Issuer + IntrospectPath,
		"scopes_supported":                               []string{"imap", "offline_access"},
		"response_types_supported":                       []string{"code"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none", "client_secret_post", "client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
	})
}

// A mail server that asks for introspection has this name and password (RFC 7662 section 2.1 wants
// one).
const (
	askerName     = "mailserver"
	askerPassword = registrytest.SecretMarker
)

// serveIntrospection tells a mail server whose an access token is (RFC 7662 section 2).
func (s *Server) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	if name, password, _ := r.BasicAuth(); name != askerName || password != askerPassword {
		w.Header().Set("WWW-Authenticate", `Basic realm="oauthtest"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	mailbox := s.Mailbox(r.PostFormValue("token"))
	if mailbox == "" {
		writeJSON(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"active": true, "username": mailbox, "scope": "imap", "token_type": "Bearer"})
}

package pushtest

import "net/http"

// ProxyPages are pages for people, by web servers and proxies that stand in front of a push
// service: each as the Fault that sends it.
var ProxyPages = map[string]Fault{
	"nginx 401":      htmlPage(401, nginxPage("401 Authorization Required")),
	"nginx 403":      htmlPage(403, nginxPage("403 Forbidden")),
	"nginx 404":      htmlPage(404, nginxPage("404 Not Found")),
	"nginx 410":      htmlPage(410, nginxPage("410 Gone")),
	"nginx 413":      htmlPage(413, nginxPage("413 Request Entity Too Large")),
	"nginx 502":      htmlPage(502, nginxPage("502 Bad Gateway")),
	"nginx 503":      htmlPage(503, nginxPage("503 Service Temporarily Unavailable")),
	"Apache 401":     htmlPage(401, apachePage("401 Unauthorized", "Unauthorized")),
	"Apache 404":     htmlPage(404, apachePage("404 Not Found", "Not Found")),
	"Apache 410":     htmlPage(410, apachePage("410 Gone", "Gone")),
	"Apache 502":     htmlPage(502, apachePage("502 Proxy Error", "Proxy Error")),
	"Apache 503":     htmlPage(503, apachePage("503 Service Unavailable", "Service Unavailable")),
	"HAProxy 503":    htmlPage(503, "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"),
	"Traefik 404":    plainText(404, "404 page not found\n"),
	"Cloudflare 403": htmlPage(403, cloudflarePage("Attention Required! | Cloudflare")),
	"Cloudflare 404": htmlPage(404, cloudflarePage("push.example.org | 404: Not found")),
	"Cloudflare 502": htmlPage(502, cloudflarePage("push.example.org | 502: Bad gateway")),
	"Cloudflare 503": htmlPage(503, cloudflarePage("push.example.org | 503: Service temporarily unavailable")),
	"a login page":   htmlPage(200, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Login</title></head><body>jwt</body></html>"),
}

// ProxyTexts are answers of web servers and proxies that are no pages: nothing, or a few words. A
// push service may say as little.
var ProxyTexts = map[string]Fault{
	"Caddy 404": {Status: 404, Header: http.Header{"Server": {"Caddy"}}},
	"Caddy 502": {Status: 502, Header: http.Header{"Server": {"Caddy"}}},
	"Caddy 503": {Status: 503, Header: http.Header{"Server": {"Caddy"}}},
	// Its error pages are configured, but not to be had.
	"Traefik 404 without its page": plainText(404, "Bad Gateway"),
	"Traefik 502":                  plainText(502, "Bad Gateway"),
	"Traefik 503":                  plainText(503, "no available server\n"),
	"Traefik 504":                  plainText(504, "Gateway Timeout"),
	"Cloudflare 502, to a program": plainText(502, "error code: 502"),
	"Cloudflare 530, to a program": plainText(530, "error code: 1033"),
	"Kong 404":                     {Status: 404, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, Body: `{"message":"no Route matched with those values"}`},
}

func nginxPage(title string) string {
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n<hr><center>nginx/1.27.3</center>\r\n</body>\r\n</html>\r\n"
}

func apachePage(title, heading string) string {
	return "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>" + title + "</title>\n</head><body>\n<h1>" + heading +
		"</h1>\n<hr>\n<address>Apache/2.4.62 (Debian) Server at push.example.org Port 443</address>\n</body></html>\n"
}

func cloudflarePage(title string) string {
	return "<!DOCTYPE html>\n<!--[if lt IE 7]> <html class=\"no-js ie6 oldie\" lang=\"en-US\"> <![endif]-->\n<head>\n<title>" + title +
		"</title>\n<meta charset=\"UTF-8\" />\n</head>\n<body>Cloudflare Ray ID: 8a1b2c3d4e5f</body>\n</html>\n"
}

func htmlPage(status int, body string) Fault {
	return Fault{Status: status, Header: http.Header{"Content-Type": {"text/html"}}, Body: body}
}

func plainText(status int, body string) Fault {
	return Fault{Status: status, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: body}
}

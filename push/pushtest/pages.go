package pushtest

import "net/http"

// ProxyPages are answers of web servers and proxies that stand in front of a push service, by name:
// each as the Fault that sends it.
var ProxyPages = map[string]Fault{
	"nginx 401":    htmlPage(401, nginxPage("401 Authorization Required")),
	"nginx 403":    htmlPage(403, nginxPage("403 Forbidden")),
	"nginx 404":    htmlPage(404, nginxPage("404 Not Found")),
	"nginx 410":    htmlPage(410, nginxPage("410 Gone")),
	"nginx 413":    htmlPage(413, nginxPage("413 Request Entity Too Large")),
	"nginx 502":    htmlPage(502, nginxPage("502 Bad Gateway")),
	"Traefik 404":  {Status: 404, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: "404 page not found\n"},
	"a login page": htmlPage(200, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Login</title></head><body>jwt</body></html>"),
}

func nginxPage(title string) string {
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n<hr><center>nginx/1.27.3</center>\r\n</body>\r\n</html>\r\n"
}

func htmlPage(status int, body string) Fault {
	return Fault{Status: status, Header: http.Header{"Content-Type": {"text/html"}}, Body: body}
}

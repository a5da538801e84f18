// isProxyError reports whether a proxy has answered because it cannot reach the server. 520 to 530
// are those of Cloudflare.
self.isProxyError = (status) => (status >= 502 && status <= 504) || (status >= 520 && status <= 530);

package netguard

import (
	"net/netip"
	"strings"
)

// IsHost reports whether text is an IP address or a host name, which may end with a dot.
func IsHost(text string) bool {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Zone() == "" || IsHostName(addr.Zone())
	}
	return IsHostName(strings.TrimSuffix(text, "."))
}

// IsHostName reports whether text is a host name in ASCII and not an IP address: at most 253
// letters, digits, hyphens, underscores and dots (RFC 1123 section 2.1). That RFC has no
// underscores, but names of real servers have them.
func IsHostName(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isLabel reports whether text is one label of a host name, of 1 to 63 characters.
func isLabel(text string) bool {
	return text != "" && len(text) <= 63 && strings.Trim(text, "-") == text && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

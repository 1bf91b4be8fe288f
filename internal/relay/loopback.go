package relay

import (
	"net"
	"strings"
)

// isLoopback says whether a host is this machine, where plain http harms nobody.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

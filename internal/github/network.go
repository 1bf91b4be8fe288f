package github

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// judgeBroken decides about an attempt without a whole answer: everything may pass but a host that
// does not exist and a certificate that is not trusted.
func (c *Client) judgeBroken(a answer) verdict {
	reason, hint, lasting := c.brokenWords(a.broken)
	if !lasting {
		reason += afterAttempts(a.attempts)
	}
	f := c.unavailable(a, reason)
	if hint != "" {
		f = f.Hinting("%s", hint)
	}
	return verdict{again: !lasting, fault: f}
}

// brokenWords says in plain words what is wrong with the network, what to do about it if that is
// known, and whether trying again is useless.
func (c *Client) brokenWords(err error) (reason, hint string, lasting bool) {
	var (
		host = c.base.Host
		dns  *net.DNSError
		op   *net.OpError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the name " + dns.Name + " is not known (DNS)", "Check the spelling of the API URL, and the network.", true
	case errors.As(err, &dns):
		return "the name " + dns.Name + " was not resolved (DNS)", "", false
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the proxy before " + host + " does not answer", "Check HTTPS_PROXY and NO_PROXY.", false
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s gave no answer within %s", host, c.retry.Timeout), "", false
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + host, "Check the API URL, and whether the server runs.", false
	case errors.Is(err, errTooLong):
		return "the answer of " + host + " is longer than any of GitHub's", "Check the API URL.", true
	}
	if reason, hint, ok := tlsWords(host, err); ok {
		return reason, hint, true
	}
	return "the connection to " + host + " broke", "", false
}

func tlsWords(host string, err error) (reason, hint string, ok bool) {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "the certificate of " + host + " is signed by an authority that this machine does not know",
			"Install the server's CA certificate; SSL_CERT_FILE can name it.", true
	case errors.As(err, &name):
		return "the certificate of " + host + " is for another host", "Check the API URL, and the proxy before it.", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of " + host + " has expired or is not valid yet", "Check this machine's clock; else the server needs a new one.", true
	case errors.As(err, &invalid):
		return "the certificate of " + host + " is not valid", "", true
	case errors.As(err, &record):
		return host + " does not speak TLS", "Check the port in the API URL.", true
	}
	return "", "", false
}

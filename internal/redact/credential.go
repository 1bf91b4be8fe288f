package redact

import "strings"

// credentials returns where something in s looks like a credential. It looks at each byte once and
// goes closer only behind a beginning that is rare in ordinary text.
func credentials(s string) []span {
	var found []span
	notBefore := 0 // what was found, or is known not to become a web token
	for i := 0; i < len(s); i++ {
		at := span{}
		switch s[i] {
		case 'g', 'o':
			at = token(s, i)
		case 'e':
			if i >= notBefore && strings.HasPrefix(s[i:], "eyJ") {
				at, notBefore = webToken(s, i)
			}
		case ':':
			if strings.HasPrefix(s[i:], "://") {
				at = password(s, i)
			}
		case '-':
			if strings.HasPrefix(s[i:], "-----BEGIN ") {
				at = privateKey(s, i)
			}
		}
		if at.to == 0 {
			continue
		}
		found = append(found, at)
		if at.from == i { // nothing within it has to be found once more
			i = at.to - 1
		}
	}
	return found
}

// fewest is how many characters a token has behind its prefix, at the least; ours have 43.
const fewest = 16

// token finds GitHub's tokens and ours. An installation's may be a web token of some 520 characters
// behind its prefix, so dots belong to it; one that ends a sentence does not.
func token(s string, i int) span {
	var prefix int
	switch rest := s[i:]; {
	case len(rest) > 4 && rest[:2] == "gh" && rest[3] == '_' && strings.IndexByte("pousr", rest[2]) >= 0, strings.HasPrefix(rest, "osl_"), strings.HasPrefix(rest, "osr_"):
		prefix = 4
	case strings.HasPrefix(rest, "github_pat_"):
		prefix = 11
	default:
		return span{}
	}
	end := i + prefix
	for end < len(s) && (s[end] == '.' || isBase64URL(s[end])) {
		end++
	}
	for s[end-1] == '.' {
		end--
	}
	if end-i-prefix < fewest {
		return span{}
	}
	return span{i, end}
}

// webToken finds a JSON web token: three parts in base64url. When there is none at i, there is none
// before next either.
func webToken(s string, i int) (at span, next int) {
	end := i
	for part := range 3 {
		began := end
		for end < len(s) && isBase64URL(s[end]) {
			end++
		}
		if part == 2 {
			break
		}
		if end == began || end == len(s) || s[end] != '.' {
			return span{}, end
		}
		end++
	}
	return span{i, end}, end
}

func isBase64URL(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// longestUser bounds how far behind :// a password is looked for.
const longestUser = 1024

// password finds what stands between the first colon behind :// and the last @ of the authority. A
// password may hold a slash that somebody forgot to escape; digits and a slash are a port.
func password(s string, i int) span {
	user := i + len("://")
	rest := s[user:min(len(s), user+longestUser)]
	if stop := strings.IndexAny(rest, " \t\r\n\"'`<>"); stop >= 0 {
		rest = rest[:stop]
	}
	at := strings.IndexByte(rest, '@')
	colon := strings.IndexByte(rest, ':')
	if colon < 0 || at < colon || strings.ContainsAny(rest[:colon], "/?#") {
		return span{}
	}
	if slash := strings.IndexByte(rest[colon:at], '/'); slash > 1 && strings.Trim(rest[colon+1:colon+slash], "0123456789") == "" {
		return span{}
	}
	if path := strings.IndexAny(rest[at:], "/?#"); path >= 0 {
		rest = rest[:at+path]
	}
	from, to := user+colon+1, user+strings.LastIndexByte(rest, '@')
	if from == to {
		return span{}
	}
	return span{from, to}
}

// privateKey finds a private key in PEM, to its end or, when that is cut off, to the end of s.
func privateKey(s string, i int) span {
	label := s[i+len("-----BEGIN "):]
	stop := strings.Index(label[:min(len(label), 64)], "-----")
	if stop < 0 || !strings.Contains(label[:stop], "PRIVATE KEY") {
		return span{}
	}
	name := label[:stop]
	end := strings.Index(label, "-----END "+name+"-----")
	if end < 0 {
		return span{i, len(s)}
	}
	return span{i, i + len("-----BEGIN ") + end + len("-----END "+name+"-----")}
}

package githubsim

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// shortestForm is how long a form of a value has to be to be found by more than chance.
const shortestForm = 8

// Forms are the ways in which a value may show in a text: as it is, each of its lines, quoted for JSON and
// for Go, escaped for URLs, in hexadecimal, as a list of numbers, and in base64, also of a longer text
// that it stands in. Forms of fewer than eight bytes are left out: those may be there by chance.
func Forms(value string) []string {
	quoted, _ := json.Marshal(value)
	all := []string{
		value, url.QueryEscape(value), url.PathEscape(value), strings.Trim(string(quoted), `"`), strings.Trim(fmt.Sprintf("%q", value), `"`),
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))), strings.Trim(fmt.Sprint([]byte(value)), "[]"),
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			raw := encoding.EncodeToString(append(make([]byte, shift), value...))
			if len(raw) >= shortestForm { // the ends depend on what stands around it
				all = append(all, raw[4:len(raw)-4])
			}
		}
	}
	for line := range strings.Lines(value) {
		all = append(all, strings.TrimSuffix(line, "\n"))
	}
	var long []string
	for _, form := range all {
		if len(form) >= shortestForm {
			long = append(long, form)
		}
	}
	return long
}

// Shows returns the form in which a text shows a value; empty, if it does not.
func Shows(text, value string) (form string) {
	for _, form := range Forms(value) {
		if strings.Contains(text, form) {
			return form
		}
	}
	return ""
}

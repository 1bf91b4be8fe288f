package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// port finds a port that is free, for a service to answer at: port LISTEN sets $LISTEN to its
// address and $SERVER to its URL.
func port(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := l.Addr().String()
	ts.Check(l.Close())
	ts.Setenv(args[0], address)
	ts.Setenv("SERVER", "http://"+address)
}

// keep puts the text of a file, or one field of the JSON in it, into a variable: keep T stdout.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile(args[1]))
	if len(args) > 2 {
		fields := map[string]any{}
		ts.Check(json.Unmarshal([]byte(text), &fields))
		text, _ = fields[args[2]].(string)
	}
	if text == "" {
		ts.Fatalf("%s has nothing to keep", args[1])
	}
	ts.Setenv(args[0], text)
}

// ask sends a request with the token in $T and checks the status: ask 200 GET /projects, or
// ask 200 POST /github/secrets/sync '{…}'. The answer is the file answer.
func ask(ts *testscript.TestScript, _ bool, args []string) {
	status, body := answered(ts, args[1:])
	ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%s %s answers %d, want %s: %s", args[1], args[2], status, args[0], body)
	}
}

// until asks again until the answer has a text: until '"synced"' GET /github/secrets/sync/status….
func until(ts *testscript.TestScript, _ bool, args []string) {
	var body []byte
	for range 1000 {
		if _, body = answered(ts, args[1:]); strings.Contains(string(body), args[0]) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s %s still answers %s", args[1], args[2], body)
}

// answered returns status 0 while nobody answers.
func answered(ts *testscript.TestScript, args []string) (status int, body []byte) {
	var content io.Reader
	if len(args) > 2 {
		content = strings.NewReader(args[2])
	}
	req, err := http.NewRequest(args[0], ts.Getenv("SERVER")+args[1], content)
	ts.Check(err)
	if token := ts.Getenv("T"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	ts.Check(err)
	return res.StatusCode, body
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// usualAddress is where serve answers unless told otherwise, and where the demo's does if it can.
const usualAddress = "127.0.0.1:8787"

// serve lets the service take over what the story did by hand, and asks it once.
func (st *stage) serve(ctx context.Context) (end func(), err error) {
	out := st.app.screen.out
	out.println()
	out.println(out.faint("# Nobody has to type that. The service looks for changes by itself, and answers over HTTP."))
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	source := "local=file:.env," + st.demo.Repository
	for _, args := range [][]string{
		{"project", "add", "--value-source", "source:local"},
		{"token", "create", "--user", "you", "--role", "developer", "--project", st.demo.Repository},
	} {
		st.show(args)
		if st.token, err = st.quietly(ctx, args); err != nil {
			return nil, err
		}
	}
	args := []string{"serve", "--source", source}
	if address != usualAddress {
		args = append(args, "--listen", address)
	}
	st.show(append(args, "&"))
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := st.process(append(args, "--log-level", "warn"))
		Run(ctx, p)
	}()
	st.server = "http://" + address
	if err := st.ask(ctx); err != nil {
		cancel()
		<-done
		return nil, err
	}
	return func() { cancel(); <-done }, nil
}

// freeAddress is the usual one, or any.
func freeAddress(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", usualAddress)
	if err != nil {
		l, err = listen.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// quietly runs the program and returns what it printed.
func (st *stage) quietly(ctx context.Context, args []string) (string, error) {
	var out bytes.Buffer
	p := st.process(args)
	p.Out, p.Err = &out, io.Discard
	if Run(ctx, p) != exitDone {
		return "", errors.New("the demo's " + args[0] + " failed")
	}
	text := strings.TrimSpace(out.String())
	if args[0] != "token" {
		st.app.screen.out.println(text)
	}
	return text, nil
}

// curl is the command that asks the service for a synchronisation.
func (st *stage) curl() string {
	return `curl -H "Authorization: Bearer $T" ` + st.server + "/projects"
}

// ask asks as soon as the service answers.
func (st *stage) ask(ctx context.Context) error {
	out := st.app.screen.out
	for deadline := time.Now().Add(10 * time.Second); ; {
		body, err := st.fetch(ctx, "/projects")
		if err == nil {
			out.println(out.strong("$ " + st.curl()))
			out.println(strings.TrimSpace(body))
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (st *stage) fetch(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, st.server+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+st.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New("the demo's service answers " + res.Status)
	}
	return string(body), err
}

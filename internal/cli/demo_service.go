package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// usualAddress is where serve answers unless told otherwise, and where the demo's does if it can.
const usualAddress = "127.0.0.1:8787"

// serve starts the service, behind a wiretap. Its log goes to a file.
func (st *stage) serve(ctx context.Context) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	st.wire = githubsim.NewWiretap("http://" + address)
	if st.server, err = st.answer(ctx, usualAddress, st.wire); err != nil {
		st.server, err = st.answer(ctx, anyAddress, st.wire)
	}
	if err != nil {
		return err
	}
	log, err := os.Create(st.log())
	if err != nil {
		return err
	}
	args := []string{"serve", "--public-url", st.server, "--listen", address}
	out := st.app.screen.out
	out.println(out.strong("$ " + commandLine(append([]string{st.app.programName()}, args...)).String() + " 2> ../" + filepath.Base(st.log()) + " &"))
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer log.Close()
		p := st.process(append(args, "--log-level", "debug"))
		p.Out, p.Err = io.Discard, log
		Run(ctx, p)
	}()
	st.finally(func() { cancel(); <-done })
	return st.ready(ctx)
}

func (st *stage) log() string { return filepath.Join(st.folder, "octoseal.log") }

// freeAddress is one that nobody listens at.
func freeAddress(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", anyAddress)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until the service answers.
func (st *stage) ready(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := st.isReady(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (st *stage) isReady(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, st.server+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New("the demo's service answers " + res.Status)
	}
	return nil
}

// quietly runs the program and returns what it printed.
func (st *stage) quietly(ctx context.Context, args []string) (string, error) {
	var out, talk bytes.Buffer
	p := st.process(args)
	p.Out, p.Err = &out, &talk
	if Run(ctx, p) != exitDone {
		return "", errors.New("the demo's " + args[0] + " failed: " + strings.TrimSpace(talk.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// curl is the command that asks the service for its projects.
func (st *stage) curl() string {
	return `curl -H "Authorization: Bearer $T" ` + st.server + "/projects"
}

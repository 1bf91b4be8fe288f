//go:build unix

package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// A blow is what happens to whom at which message.
type blow struct {
	to   string // server, job or network
	at   string // part of the message's line
	nth  int32  // of those messages; 0 is the first
	when githubsim.Cut
}

func (b blow) String() string {
	when := map[githubsim.Cut]string{githubsim.BeforeAsking: "before", githubsim.BeforeAnswer: "after"}[b.when]
	return strings.Trim(fmt.Sprintf("%s %s %s", b.to, when, strings.NewReplacer("/", " ", "POST ", "", "PUT ", "write ").Replace(b.at)), " ")
}

// blows are all there are: to each of the three, before and after each step of a relay.
func blows() []blow {
	var all []blow
	for _, at := range []string{"POST /relay/claims", "POST /relay/boxes", "POST /relay/finish", "/dispatches", "PUT "} {
		for _, to := range []string{"server", "job", "network"} {
			for _, when := range []githubsim.Cut{githubsim.BeforeAsking, githubsim.BeforeAnswer} {
				b := blow{to: to, at: at, when: when}
				if at == "PUT " {
					b.nth = 3
				}
				if at != "/dispatches" || to != "job" { // there is none yet
					all = append(all, b)
				}
			}
		}
	}
	return all
}

// Whoever dies at whatever step, and whatever message is lost: the next plain run puts it right. Nothing
// that did not change is written again, and nothing is lost.
func TestABlowAtEachStep(t *testing.T) {
	long(t)
	for _, b := range blows() {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			b.strike(t)
		})
	}
}

func (b blow) strike(t *testing.T) {
	o := newOffice(t)
	wire, hub := o.overheard()
	o.hooked()
	var job atomic.Int64
	o.employ(githubsim.Runner{OnJob: func(pid int, _ githubsim.WorkflowRun) { job.Store(int64(pid)) }})
	flags := []string{"--poll-interval", "off", "--relay-complaint", "5s"}
	want := map[string]string{}
	set := func(n, round int) map[string]bool {
		names := map[string]bool{}
		for i := range n {
			name := fmt.Sprintf("SECRET_%02d", i)
			names[name], want[name] = true, fmt.Sprintf("blow-canary-%d-of-%d", i, round)
			o.set(name, want[name])
		}
		o.github.Advance(time.Minute)
		return names
	}
	set(24, 0)
	o.serve(flags...)
	o.open()
	if code, talk := o.sync(); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, talk, o.told())
	}
	o.jobsOver()
	o.github.ResetRequests()
	changed := set(20, 1)

	struck := make(chan struct{})
	hit := b.once(func() {
		switch b.to {
		case "server":
			_ = o.service.Process.Kill()
		case "job":
			_ = syscall.Kill(-int(job.Load()), syscall.SIGKILL)
		}
		close(struck)
	})
	wire.OnRequest(hit)
	hub.OnRequest(hit)
	done := make(chan string, 1)
	go func() {
		_, talk := o.sync() // its service may die, and so may its run
		done <- talk
	}()
	select {
	case <-struck:
	case talk := <-done:
		t.Fatalf("the blow did not come\n%s\n%s", talk, o.told())
	}
	if b.to == "server" {
		_, _ = o.service.Process.Wait()
		o.serve(flags...)
	}
	<-done
	o.settles()
	o.copied(0, want)
	b.frugal(o, changed)
	o.inStep("audit", "verify", "--repo", widgets)
}

// once returns what strikes at the message that is meant, and never again.
func (b blow) once(strike func()) func(*http.Request) githubsim.Trouble {
	var seen atomic.Int32
	return func(r *http.Request) githubsim.Trouble {
		if !strings.Contains(r.Method+" "+r.URL.Path, b.at) || seen.Add(1) != b.nth+1 {
			return githubsim.Trouble{}
		}
		t := githubsim.Trouble{Cut: b.when, Then: strike}
		if b.to == "job" && b.at == "PUT " { // which the service sends
			t.Cut = githubsim.Whole
		}
		return t
	}
}

// settles asks until everything is in step, and demands that asking once more changes nothing.
func (o *office) settles() {
	o.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		code, talk := o.sync()
		if code == 0 {
			break
		}
		if time.Now().After(end) {
			o.Fatalf("exit code %d\n%s\n%s", code, talk, o.told())
		}
	}
	before := o.github.Counts().Writes
	if code, talk := o.sync(); code != 0 || o.github.Counts().Writes != before {
		o.Errorf("once more: exit code %d, %d writes\n%s", code, o.github.Counts().Writes-before, talk)
	}
}

// frugal holds that what did not change was not written, and what did change once; but for writes that
// were under way when the blow came.
func (b blow) frugal(o *office, changed map[string]bool) {
	o.Helper()
	times := map[string]int{}
	for _, r := range o.github.Requests() {
		if r.Method != http.MethodPut {
			continue
		}
		times[r.Path]++
		if name := path.Base(r.Path); !changed[name] {
			o.Errorf("%s was written without need", r.Path)
		}
	}
	if len(times) != 2*len(changed) {
		o.Errorf("%d writes, want %d", len(times), 2*len(changed))
	}
	for path, n := range times {
		if n > 1 && b.at != "PUT " {
			o.Errorf("%s was written %d times", path, n)
		}
	}
}

// Two processes share the work, and whoever is before them sends each message to either. The job finds
// the one that has its session; when that one dies, it claims anew from the other.
func TestTwoReplicasBehindOneAddress(t *testing.T) {
	long(t)
	o := newOffice(t)
	o.environ = append(o.environ, "OCTOSEAL_DATABASE="+storetest.Postgres(t))
	second, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	taps := []*githubsim.Wiretap{githubsim.NewWiretap(o.url), githubsim.NewWiretap("http://" + second)}
	var turn atomic.Int64
	var dead atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := turn.Add(1) % 2
		if dead.Load() {
			to = 0
		}
		taps[to].ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	o.url = front.URL
	o.serve("--poll-interval", "off")
	o.address = second
	o.serve("--poll-interval", "off")
	o.open()
	want := map[string]string{}
	const rounds = 3
	for round := range rounds {
		for i := range 18 { // two batches; GitHub's limits slow down whoever writes much more
			name := fmt.Sprintf("SECRET_%02d", i)
			want[name] = fmt.Sprintf("replica-canary-%d-of-%d", i, round)
			o.set(name, want[name])
		}
		o.github.Advance(time.Minute)
		if round == rounds-1 { // whether it has the session or not
			taps[1].OnRequest(blow{at: "POST /relay/boxes", when: githubsim.BeforeAsking}.once(func() {
				_ = o.service.Process.Kill()
				dead.Store(true)
			}))
		}
		if code, talk := o.sync(); code != 0 {
			t.Fatalf("round %d: exit code %d\n%s\n%s", round, code, talk, o.told())
		}
		o.copied(0, want)
		o.jobsOver()
	}
	if !dead.Load() {
		t.Error("nobody died")
	}
	o.inStep("audit", "verify", "--repo", widgets)
}

package importtest

import "slices"

// The rooms of the house, from the ground up. A room of the ground may know those before it.
var (
	ground   = []string{"secret", "fault", "exclusion", "plan", "audit", "redact"}
	ports    = []string{"github", "store", "source"}
	services = []string{"syncing", "environment", "relay"}
	doors    = []string{"httpapi", "dashboard", "mcp", "jobs"}
)

// A rule says what the files of one room may import of ours. Rooms are paths below internal.
type rule struct {
	may       []string
	testsOnly bool // the room is there for tests: nobody else may import it
}

// rules returns a rule for every room there is and for those that are to come.
func rules() map[string]rule {
	r := map[string]rule{
		"importtest": {},
		// The simulator is a GitHub, not a part of ours; it knows what a scope and a name are.
		"githubsim": {may: []string{"secret"}},
		// Suites and checks that tests of several rooms share.
		"githubsim/conform": {may: []string{"githubsim", "secret"}, testsOnly: true},
		"store/storetest":   {may: append([]string{"store"}, ground...), testsOnly: true},
		// The command line wires everything together, and it alone.
		"cli": {may: slices.Concat(ground, ports, services, doors, []string{"httpapi/openid", "githubsim"})},
		// A provider's tokens become a login, which needs nothing of ours.
		"httpapi/openid": {},
	}
	for i, room := range ground {
		r[room] = rule{may: ground[:i]}
	}
	for _, room := range ports {
		r[room] = rule{may: ground}
	}
	for _, room := range services {
		r[room] = rule{may: slices.Concat(ground, ports)}
	}
	// The relay is how values reach a run: what it takes in, a run of syncing carries out.
	r["relay"] = rule{may: slices.Concat(ground, ports, []string{"syncing"})}
	for _, room := range doors {
		r[room] = rule{may: slices.Concat(ground, services)}
	}
	// The doors of the service stand between the queue's rows, repositories as GitHub names them, and
	// the services. Values come through neither: the sources are not theirs to open.
	for _, room := range []string{"httpapi", "jobs"} {
		r[room] = rule{may: slices.Concat(ground, services, []string{"store", "github"})}
	}
	return r
}

// commands are the programs, and what they may import. At the root lies the text of the action alone.
var commands = map[string][]string{"cmd/octoseal": {"cli"}, ".": {}}

// inTests is what tests of any room may import besides: worlds to run in and suites to pass. No
// test goes through somebody else's door.
var inTests = append([]string{"githubsim", "githubsim/conform", "store/storetest"}, slices.Concat(ground, ports, services)...)

// A fence says which rooms may import a package that is not ours, or what lies below it.
type fence struct {
	pkg   string
	rooms []string
	why   string
}

// open says whether a test may go through: any may run programs, the command line's ask the
// database what the processes of a service that they started left there, and the simulator's have
// a stranger verify the tokens it signs.
func (fence fence) open(f file) bool {
	return f.isTest && (fence.pkg == "os/exec" || fence.pkg == "database/sql" && f.room() == "cli" ||
		fence.pkg == "github.com/coreos/go-oidc" && f.room() == "githubsim")
}

var fences = []fence{
	{"database/sql", []string{"store", "store/storetest"}, "only store knows SQL"},
	{"github.com/jackc/pgx", []string{"store", "store/storetest"}, "only store knows SQL"},
	{"github.com/pressly/goose", []string{"store", "store/storetest"}, "only store knows SQL"},
	{"github.com/riverqueue/river", []string{"store", "store/storetest"}, "only store knows the queue's client"},
	{"modernc.org/sqlite", []string{"store", "store/storetest"}, "only store knows SQL"},
	{"github.com/google/go-github", []string{"github"}, "only github knows GitHub's JSON"},
	{"github.com/bradleyfalzon/ghinstallation", []string{"github"}, "only github speaks to GitHub"},
	{"github.com/cli/go-gh", []string{"github"}, "only github speaks to GitHub"},
	{"github.com/danielgtaylor/huma", []string{"httpapi"}, "only the HTTP door has operations"},
	{"github.com/prometheus", []string{"httpapi"}, "only the HTTP door shows metrics; others tell them"},
	{"github.com/coreos/go-oidc", []string{"httpapi/openid", "relay"}, "only openid verifies a provider's tokens, and the relay a job's"},
	{"go.opentelemetry.io/otel/exporters", []string{"cli"}, "only the command line decides where traces go"},
	{"github.com/spf13/cobra", []string{"cli"}, "only the command line has flags"},
	{"os/exec", []string{"source", "github", "githubsim", "cli", "store/storetest"}, "only sources, logins, simulated jobs, the command line and a database for tests run programs"},
	{"unsafe", nil, "nobody needs it"},
}

// pure are the rooms that decide and do nothing: no clock, no network, no file.
var pure = []string{"secret", "plan", "audit"}

// worldly is what a pure room may not import.
var worldly = []string{"os", "net", "io/fs", "context", "syscall", "database/sql"}

// clients are the names in net/http by which one speaks to a server; the rest of the package is
// status codes and serving.
var clients = []string{
	"Client", "DefaultClient", "DefaultTransport", "Transport", "NewRequest", "NewRequestWithContext", "Get", "Head", "Post", "PostForm",
}

// speakers are the rooms that may use them; environment asks Neon and Cloudflare whether what is
// linked there exists.
var speakers = []string{"github", "githubsim", "githubsim/conform", "cli", "httpapi/openid", "environment", "relay"}

// bad are names for packages that say nothing about what belongs in them.
var bad = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "lib", "types", "tools"}

package githubsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
)

// storeRoutes are the five calls of every store.
func storeRoutes() []route {
	var all []route
	for _, k := range storeKinds {
		path := "/{repo}/" + k.path
		at := "repository"
		if k.scope == environmentScope {
			at = "n-environment"
		}
		add := func(rt route, serve func(*call, storeKind, *store) answer) {
			rt.scope = "repo"
			rt.serve = func(c *call) answer {
				s := c.store(k)
				if s == nil {
					return notFound()
				}
				return serve(c, k, s)
			}
			all = append(all, rt)
		}
		add(route{method: "GET", path: path, need: k.read, role: RoleWrite,
			docs: k.docs + "#list-" + strings.TrimPrefix(at, "n-") + "-secrets"}, listSecrets)
		add(route{method: "GET", path: path + "/public-key", need: k.read, role: RoleRead, open: scopeless,
			docs: k.docs + "#get-a" + at + "-public-key"}, publicKey)
		add(route{method: "GET", path: path + "/{secret_name}", need: k.read, role: RoleWrite,
			docs: k.docs + "#get-a" + at + "-secret"}, getSecret)
		add(route{method: "PUT", path: path + "/{secret_name}", need: k.write, role: k.writer,
			docs: k.docs + "#create-or-update-a" + at + "-secret"}, putSecret)
		add(route{method: "DELETE", path: path + "/{secret_name}", need: k.write, role: k.writer,
			docs: k.docs + "#delete-a" + at + "-secret"}, deleteSecret)
	}
	return all
}

// store finds the store a call is about; nil when the plan, the server or the repository
// does not have it.
func (c *call) store(k storeKind) *store {
	switch {
	case k.cloud && c.enterprise(), !c.repo.has(k.scope):
		return nil
	case k.scope != environmentScope:
		return c.repo.stores[k.scope]
	}
	e := c.repo.environment(c.param("environment_name"))
	if e == nil || !c.repo.hasEnvironments() || !c.repo.has(environmentScope+":"+e.Name) {
		return nil
	}
	return e.secrets
}

func listSecrets(c *call, _ storeKind, s *store) answer {
	return c.secretList(s.list(c.now))
}

// A secretJSON is a secret as the API shows it.
type secretJSON struct {
	Name      string `json:"name"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func show(s Secret) secretJSON { return secretJSON{s.Name, stamp(s.CreatedAt), stamp(s.UpdatedAt)} }

// secretList is one page of names and times.
func (c *call) secretList(all []Secret) answer {
	p := c.page()
	list := []secretJSON{}
	for _, s := range cut(p, all) {
		list = append(list, show(s))
	}
	a := ok(map[string]any{"total_count": len(all), "secrets": list})
	c.link(&a, p, len(all))
	return a
}

func publicKey(c *call, _ storeKind, s *store) answer {
	var id any = s.key.id
	if c.enterprise() {
		id = json.Number(s.key.id)
	}
	return ok(map[string]any{"key_id": id, "key": base64.StdEncoding.EncodeToString(s.key.public[:])})
}

func getSecret(c *call, _ storeKind, s *store) answer {
	secret, found := s.secrets[strings.ToUpper(c.param("secret_name"))]
	if !found {
		return notFound()
	}
	return answer{status: 200, body: show(secret), modified: secret.UpdatedAt}
}

func putSecret(c *call, k storeKind, s *store) answer {
	name := strings.ToUpper(c.param("secret_name"))
	if complaint := nameComplaint(name); complaint != "" {
		return refuse(422, complaint)
	}
	sealed, refusal := c.sealedValue(s.key)
	if refusal != nil {
		return *refusal
	}
	value, opened := s.key.open(sealed)
	switch _, exists := s.secrets[name]; {
	case !opened:
		return improperlyEncrypted(k)
	case len(value) > maxValue:
		return refuse(422, "Secret value must be at most 48 KB.")
	case !exists && len(s.secrets) >= maxSecrets:
		return refuse(422, "The limit of 100 secrets has been reached.")
	}
	seen := c.now.Add(c.faults.listLag())
	if s.put(Secret{Name: name, Value: value, UpdatedAt: c.now}, c.now, seen) {
		return answer{status: 201, body: struct{}{}}
	}
	return answer{status: 204}
}

func deleteSecret(c *call, _ storeKind, s *store) answer {
	if !s.delete(c.param("secret_name"), c.now, c.now.Add(c.faults.listLag())) {
		return notFound()
	}
	return answer{status: 204}
}

func improperlyEncrypted(k storeKind) answer {
	a := refuse(422, "Bad request - validation failed due to an improperly encrypted secret")
	a.body.(*errorBody).Docs = docs + "/reference/actions#create-or-update-an-environment-secret"
	if k.scope != environmentScope {
		a.body.(*errorBody).Docs = docs + "/" + k.docs + "#create-or-update-a-repository-secret"
	}
	return a
}

var namePattern = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// nameComplaint says what is wrong with an upper-case name, or nothing.
func nameComplaint(name string) string {
	switch {
	case !namePattern.MatchString(name):
		return "Secret names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). " +
			"Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_)."
	case strings.HasPrefix(name, "GITHUB_"):
		return "Secret names must not start with GITHUB_."
	}
	return ""
}

const base64Pattern = `^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=|[A-Za-z0-9+\/]{4})$`

var base64Text = regexp.MustCompile(base64Pattern)

// sealedValue reads the body of a PUT up to the box that key's owner is to open.
func (c *call) sealedValue(key keyPair) ([]byte, *answer) {
	refused := func(a answer) ([]byte, *answer) { return nil, &a }
	fields, refusal := c.object()
	if refusal != nil {
		return nil, refusal
	}
	value, hasValue := fields["encrypted_value"]
	id, hasID := fields["key_id"]
	switch {
	case !hasValue && !hasID:
		return refused(invalid(`"encrypted_value", "key_id" weren't supplied.`))
	case !hasValue:
		return refused(invalid(`"encrypted_value" wasn't supplied.`))
	case !hasID:
		return refused(invalid(`"key_id" wasn't supplied.`))
	}
	text, isText := value.(string)
	if !isText {
		return refused(invalid("For 'properties/encrypted_value', %s is not a string.", asJSON(value)))
	}
	if number, isNumber := id.(json.Number); isNumber && c.enterprise() {
		id = number.String()
	}
	if _, isText := id.(string); !isText {
		return refused(invalid("For 'properties/key_id', %s is not a string.", asJSON(id)))
	}
	// GitHub echoes what it was sent: a client that sends a plaintext here by mistake gets
	// it back in an error text, and must not log that.
	if !base64Text.MatchString(text) {
		return refused(invalid("%s does not match /%s/.", text, base64Pattern))
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || id != key.id {
		// A box for another key cannot be opened; nothing tells it from a damaged one.
		return []byte{}, nil
	}
	return sealed, nil
}

// object reads the request's body as a JSON object. An empty body is an empty object.
func (c *call) object() (map[string]any, *answer) {
	refused := func(message string) (map[string]any, *answer) {
		a := refuse(400, message)
		return nil, &a
	}
	if len(bytes.TrimSpace(c.body)) == 0 {
		return map[string]any{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return refused("Problems parsing JSON")
	}
	fields, isObject := v.(map[string]any)
	if !isObject {
		return refused("Body should be a JSON object")
	}
	return fields, nil
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("githubsim: " + err.Error()) // v came from JSON
	}
	return string(b)
}

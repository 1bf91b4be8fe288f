// Package source is where values come from when GitHub is not asked: a file, standard input, the
// process environment, or a command.
//
// Parse reads what stands behind --from and Read brings the entries, each with the line it stands
// on. Check then splits them into values and problems, and Refuse turns the problems into the one
// error that lists them all. What no reading of the input could mean is refused by Read; what is
// readable and yet no secret (an empty value, a name GitHub would not take) is for Check, since an
// excluded name is never a problem and --skip-invalid leaves the others out.
//
// Values are taken byte for byte. Nothing is trimmed or expanded, and where tools disagree on what
// a line means it is refused instead of guessed at. Errors name lines, never their text: a line
// of a broken file may well be the middle of a private key.
//
// # The .env dialect
//
//	# a comment, also behind a value if white space stands before the #
//	PLAIN=everything up to the end of the line, $ and \ included
//	export ALSO=fine
//	SINGLE='literal, over
//	several lines'
//	DOUBLE="with \n \r \t \\ \" \$ and nothing else behind a backslash"
//
// A line ends with LF or CRLF; inside quotes both are kept as they stand. Names may hold letters,
// digits, '_', '-' and '.' here, so that Check can say what is wrong with a name. Refused with the
// number of the line:
//
//   - white space before the =;
//   - any other backslash sequence in double quotes: some tools keep the backslash, some drop it;
//   - anything but white space and a comment behind a closing quote, and a quote never closed;
//   - a carriage return outside quotes that ends no line, NUL bytes, a line that is no NAME=VALUE.
//
// White space behind the = and at the end of an unquoted value belongs to the value, since values
// are taken byte for byte; only a value of nothing but white space counts as empty.
//
// A # directly behind the = begins a value, not a comment. A quote inside an unquoted value is an
// ordinary character. Bytes that are no UTF-8 are kept.
//
// # JSON and YAML
//
// One flat object. A scalar is its literal text: 1.0 stays 1.0 and YAML's yes stays yes; null (and
// YAML's ~, and nothing at all) is an empty value. Nesting is refused. JSON must be valid to the
// letter, half a surrogate pair included. YAML is the plain flat mapping alone, with quoted, folded
// and block scalars in their YAML meaning: no anchors, aliases, tags, merge keys, directives,
// explicit keys or second document. A YAML document that begins with { is read as JSON.
//
// # Common to all
//
// A byte order mark at the beginning is skipped, UTF-16 is refused. A file's format follows its
// extension (.json, .yaml, .yml, else .env); standard input is .env, and a command's output is JSON
// when it begins with {, else .env; Options.Format overrules. At most 16 MiB are read,
// within Options.Timeout.
package source

package exclusion

import (
	"errors"
	"strings"
	"testing"
)

// What is refused is Node's to say; here is how it is said.
func TestCompileSaysWhereAndWhy(t *testing.T) {
	for _, tt := range []struct {
		source string
		at     int
		want   string
	}{
		{"", 0, "pattern: is empty and would exclude every name"},
		{strings.Repeat("é", 201), 0, "pattern: has 201 characters, at most 200 are allowed"},
		{"a\xff", 0, "pattern: is not valid UTF-8"},
		{`A(B`, 2, "pattern `A(B`: character 2: this group is never closed"},
		{`AB)`, 3, "pattern `AB)`: character 3: this ) closes nothing"},
		{`A[B`, 2, "pattern `A[B`: character 2: this [ is never closed"},
		{`[z-a]`, 2, "pattern `[z-a]`: character 2: this range is out of order"},
		{`A**`, 3, "pattern `A**`: character 3: nothing to repeat before *"},
		{`A|{2}`, 3, "pattern `A|{2}`: character 3: nothing to repeat before {"},
		{`^+`, 2, "pattern `^+`: character 2: nothing to repeat: ^ is a place, not a character"},
		{`A{3,2}`, 2, "pattern `A{3,2}`: character 2: the numbers in {} are out of order"},
		{`A\`, 2, "pattern `A\\`: character 2: nothing follows the \\"},
		{`(?i:a)`, 1, "pattern `(?i:a)`: character 1: JavaScript has no group that starts like this; (?: (?= (?! (?<= (?<! and (?<name> are known"},
		{`(?<n>a)(?<n>b)`, 8, "pattern `(?<n>a)(?<n>b)`: character 8: a group named \"n\" stands before this one"},
		{`(?<n>a)\k<m>`, 8, "pattern `(?<n>a)\\k<m>`: character 8: no group is named \"m\""},
		{`(?<n>a)\k`, 8, "pattern `(?<n>a)\\k`: character 8: \\k needs a group's name, as in \\k<name>"},
		{`(?<1>a)`, 1, "pattern `(?<1>a)`: character 1: the name of a group starts with a letter, $ or _"},
		{"A\n(", 3, `pattern "A\n(": character 3: this group is never closed`},
	} {
		p, err := Compile(tt.source)
		refusal := new(SyntaxError)
		if !errors.As(err, &refusal) || refusal.At != tt.at || err.Error() != tt.want {
			t.Errorf("Compile(%q) = %v\nwant %s", tt.source, err, tt.want)
		}
		if _, err := p.Match("A"); err == nil {
			t.Errorf("the pattern of a refused %q matches all the same", tt.source)
		}
	}
}

func TestLengthIsCountedInCharacters(t *testing.T) {
	source := strings.Repeat("é", 200)
	p, err := Compile(source)
	if err != nil || p.String() != source {
		t.Fatalf("200 characters in 400 bytes: %v", err)
	}
	if matched, err := p.Match("x" + source); err != nil || !matched {
		t.Errorf("its own text: %v, %v; want a match", matched, err)
	}
}

func TestMatchGivesUp(t *testing.T) {
	for source, name := range map[string]string{
		slow:                         slowName,
		`^(\w+\s?)*$`:                strings.Repeat("A", 40) + "!",
		`(.*)*\1{9}$`:                strings.Repeat("AB", 50) + "!",
		`(?=(a+)+$)b`:                slowName,
		`^(?:a?){99}a{99}$`:          strings.Repeat("a", 98),
		`(?:(?:(?:a*)*)*)*b`:         slowName,
		`(?<!^(?:a|a)+)!`:            slowName,
		`(?:(?:){2147483647}){9999}`: "X",
	} {
		p, err := Compile(source)
		if err != nil {
			t.Error(err)
			continue
		}
		inTime(t, source, func() {
			if _, err := p.Match(name); err != nil && (!errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), source)) {
				t.Errorf("%s: %v; want an ErrTimeout naming the pattern", source, err)
			}
		})
	}
	p, err := Compile(slow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Match(slowName); !errors.Is(err, ErrTimeout) {
		t.Errorf("%s: %v; want ErrTimeout", slow, err)
	}
	if matched, err := p.Match("aaa"); err != nil || !matched {
		t.Errorf("%s after giving up once: %v, %v; want a match", slow, matched, err)
	}
}

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// wrong compiles a source that must not compile, and gives its problems as "PATH LINE:COL TEXT", sorted.
func wrong(t *testing.T, s Source) []string {
	t.Helper()
	p, problems := Compile(testVocabulary(t), s)
	if p != nil || len(problems) == 0 {
		t.Fatalf("it compiles: %+v", s)
	}
	var out []string
	for _, problem := range problems {
		out = append(out, fmt.Sprintf("%s %d:%d %s", problem.Path, problem.Line, problem.Col, problem.Text))
	}
	slices.Sort(out)
	return out
}

// inside are words of CEL's insides that no admin should have to read.
var inside = []string{"_==_", "@", "_&&_", "overload", "container", "undeclared", "mismatched", "extraneous", "token recognition", "EOF", "IDENTIFIER",
	"gatepost.list", "null_type", "comprehension", "dyn", "_["}

// conditionCase is one mistake in a condition, with "LINE:COL what is said of it"; several stand in lines.
type conditionCase struct{ why, when, want string }

const (
	alone  = `list.block stands alone; the only use of a list is "FACT in list.block"`
	noFact = `what stands before "in list.block" must be a fact that lists know: an ip, address, domain or user, such as client.ip or sender.domain`
)

func TestNamesAndSyntax(t *testing.T) {
	checkConditions(t, []conditionCase{
		// names
		{"the example of DESIGN.md", `over.client_mesages`, `1:1 unknown fact "over.client_mesages" (did you mean over.client_messages?)`},
		{"nothing near", `weather.rain`, "1:1 unknown fact \"weather.rain\"; `gatepost facts` prints all facts"},
		{"a plain name", `client.trusted && trusted`, "1:19 unknown name \"trusted\"; `gatepost facts` prints all facts"},
		{"a word without quotes", `spf.result == fail`, `1:15 unknown name "fail"; a text stands in quotes: "fail"`},
		{"a part of a fact", `client.ip.v4 == "x"`, `1:1 unknown fact "client.ip.v4" (did you mean client.ip?)`},
		{"the beginning of a fact", `client == "x"`, `1:1 unknown name "client" (did you mean client.ip?)`},
		{"behind non-ASCII text", `helo.name == "éü" && helo.nam == ""`, `1:22 unknown fact "helo.nam" (did you mean helo.name?)`},
		{"in a condition of several lines", "helo.name == \"é\" ||\n  \"ü\" == helo.nam", `2:10 unknown fact "helo.nam" (did you mean helo.name?)`},
		{"inside of exists", `dkim.domains.exists(d, d == sender.domian)`, `1:29 unknown fact "sender.domian" (did you mean sender.domain?)`},
		{"CEL's types", `spf.result == string`, "1:15 unknown name \"string\"; `gatepost facts` prints all facts"},
		{"a reserved word", `client.trusted && if`, `1:19 "if" is a word of the expression language and no name`},
		{"null", `spf.result == null`, `1:15 there is no null; a text that is not there is "", a number 0, a list []`},
		// syntax
		{"it ends early", `client.trusted &&`, `1:18 the condition ends too early; something is missing behind its last word`},
		{"two operators", `client.trusted && || true`, `1:19 "||" is not expected here`},
		{"an open parenthesis", `(client.trusted`, `1:16 ")" is missing at the end`},
		{"a parenthesis too many", `client.trusted)`, `1:15 ")" is not expected here`},
		{"no operator between", `client.trusted client.trusted`, `1:16 "client" is not expected here; conditions are joined by && or ||`},
		{"one =", `spf.result = "fail"`, `1:12 "=" is no operator; write ==`},
		{"one &", `client.trusted & client.trusted`, `1:16 "&" is no operator; write &&`},
		{"the word and", `client.trusted and client.trusted`, `1:16 "and" is no operator; write &&`},
		{"the word or", `client.trusted or client.trusted`, `1:16 "or" is no operator; write ||`},
		{"the word not", `not client.trusted`, `1:1 "not" is no operator; write !( ) around what is not to be`},
		{"the words not in", `client.ip not in list.block`, `1:11 "not" is no operator; write !( ) around what is not to be`},
		{"not as a function", `not(client.trusted)`, `1:1 "not" is no operator; write !( ) around what is not to be`},
		{"a text without end", `spf.result == "fail`, `1:15 the text is not closed; it ends with the quote it begins with`},
		{"typographic quotes", `spf.result == “fail”`, `1:15 “ is no quote here; write " or '`},
		{"a backslash", `helo.name.matches("\d")`, `1:19 the text has a \ that stands for nothing; write \\ for a backslash`},
		{"a comment of TOML", `client.trusted # ours`, `1:16 "#" means nothing here; a comment in a condition begins with //`},
		{"a letter outside of texts", `é == "x"`, `1:1 "é" means nothing here`},
		{"a name of ours", `@header == []`, `1:1 "@" means nothing here`},
		{"in the second line", "client.trusted &&\n\"é\" == && true", `2:8 "&&" is not expected here`},
		{"a number that is too large", `message.size > 99999999999999999999`, `1:16 this is no number that can be counted with`},
		{"too deep", strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300), `1:1 the condition is nested too deeply; divide it by definitions under [define]`},
		{"too long", `helo.name == "` + strings.Repeat("x", 200_000) + `"`, `1:1 the condition is too long; put what repeats into definitions and what is many into a list`},
		{"too many terms", "message.size in [" + strings.Repeat("1,", 25_000) + "1]", `1:1 it has 25004 terms with its definitions; at most 20000 are taken`},
	})
}

func TestTypesFunctionsLists(t *testing.T) {
	checkConditions(t, []conditionCase{
		// types
		{"no condition", `spf.result`, `1:1 the condition is no condition but a string; compare it with something`},
		{"a number", `message.size + 1`, `1:1 the condition is no condition but an int; compare it with something`},
		{"no condition in an or", `client.trusted || dmarc.result`, `1:19 this is a string and no condition; compare it with something`},
		{"a number and a text", `rcpt.count > "3"`, `1:12 > does not work on (int, string); compare values of one type`},
		{"== of two types", `client.trusted == "true"`, `1:16 == does not work on (bool, string); compare values of one type`},
		{"a sum of two types", `rcpt.count + 0.5 > 1.0`, `1:12 + does not work on (int, double); calculate with values of one type`},
		{"! of a text", `!spf.result`, `1:1 ! does not work on a string; behind it stands a condition`},
		{"- of a condition", `-client.trusted == 1`, `1:1 - does not work on a bool; behind it stands a number`},
		{"if-then-else of two types", `client.trusted ? 1 : "x" == "x"`, `1:16 A ? B : C does not work on (bool, int, bool); A is a condition, B and C are of one type`},
		{"in a text", `spf.result in "fail"`, `1:12 in does not work on (string, string); behind it stands list.NAME or ["one", "two"] of the same type`},
		{"an index of a text", `helo.name[0] == "x"`, `1:10 [ ] does not work on (string, int); it takes a list and a number`},
		{"a list of two types", `sender.domain in ["a", 3]`, `1:24 this is an int in a list that begins with a string; a list has values of one type`},
		{"header() compared with a text", `header("Subject") == "x"`, `1:19 == does not work on (list(string), string); compare values of one type`},
		{"exists on a text", `helo.name.exists(c, c == "x")`, `1:1 this works on lists of texts such as dkim.domains, not on a string`},
		{"a part of an element", `dkim.domains.exists(d, d.name == "x")`, `1:24 a string has no parts that a name behind a dot could mean`},
		{"braces", `{"a": 1}["a"] == 1`, `1:1 { } means nothing here; a list of texts is ["one", "two"]`},
		// functions
		{"a misspelt function", `helo.name.contain("x")`, `1:11 unknown function "contain" (did you mean contains?)`},
		{"a wrong argument", `helo.name.contains(3)`, `1:11 contains() of a string does not take (int)`},
		{"no argument", `helo.name.startsWith()`, `1:11 startsWith() of a string does not take ()`},
		{"not behind the text", `contains(helo.name, "x")`, `1:1 contains() does not take (string, string)`},
		{"has", `has(client.ip)`, `1:1 has() is of no use: every fact has a value when its rule is asked; compare it, as in sender.domain != ""`},
		{"map", `dkim.domains.map(d, d + d) == []`, `1:14 map() is not there; exists, all, exists_one and filter look into a list`},
		{"exists with one argument", `dkim.domains.exists(d)`, `1:14 exists() stands behind a list and takes a name for the element and a condition, as in dkim.domains.exists(d, d == "example.org")`},
		{"exists over no name", `dkim.domains.exists("d", true)`, `1:21 the first argument is a plain name for the element, as in dkim.domains.exists(d, d == "example.org")`},
		{"three deep", `dkim.domains.all(a, dkim.domains.all(b, dkim.domains.all(c, true)))`, `1:41 exists, all and filter stand inside each other at most 2 deep`},
		{"header of a fact", `header(helo.name) == []`, `1:8 header() takes the name of a field in quotes, as in header("Subject")`},
		{"header of no name", `header("Subject:") == []`, `1:8 header() takes the name of a field in quotes, as in header("Subject")`},
		{"header of two", `header("To", "Cc") == []`, `1:1 header() takes the name of a field in quotes, as in header("Subject")`},
		{"a bad pattern", `client.trusted && helo.name.matches("a(b")`, "1:29 the pattern of matches() is wrong: missing closing ): `a(b`"},
		{"a bad pattern in the second line", "client.trusted ||\nmatches(helo.name, \"[\")", "2:1 the pattern of matches() is wrong: missing closing ]: `[`"},
		{"a pattern that a sender writes", `sender.domain.matches(helo.name)`, `1:23 the pattern of matches() stands in quotes; compare facts with ==, contains(), startsWith() or endsWith()`},
		// lists
		{"a list nobody named", `client.ip in list.blok`, `1:14 unknown list "blok" (did you mean block?)`},
		{"no list near", `client.ip in list.friends`, `1:14 unknown list "friends"; name it under [list]`},
		{"list without name", `client.ip in list`, `1:14 list stands alone; the only use of a list is "FACT in list.NAME"`},
		{"a list alone", `list.block`, "1:1 " + alone},
		{"a list compared with a fact", `client.ip == list.block`, "1:14 " + alone},
		{"lists compared", `list.block == list.block`, "1:1 " + alone + "\n1:15 " + alone},
		{"the size of a list", `size(list.block) > 1`, "1:6 " + alone},
		{"the size behind it", `list.block.size() > 1`, "1:1 " + alone},
		{"a list among others", `client.ip in [list.block]`, "1:15 " + alone},
		{"exists over a list", `list.block.exists(x, x == "y")`, "1:1 " + alone},
		{"a text in a list", `"x" in list.block`, "1:1 " + noFact},
		{"an element in a list", `dkim.domains.exists(d, d in list.block)`, "1:24 " + noFact},
		{"a fact of no kind", `client.trusted && spf.result in list.block`, "1:19 " + noFact},
		{"what is made of a fact", `sender.domain.lowerAscii() in list.block`, "1:1 " + noFact},
		{"! before in", `!client.ip in list.block`, `1:1 ! belongs to what stands right behind it, not to "in"; write !( ... in list.block)`},
		{"an unknown fact in a list is that alone", `client.iq in list.block`, `1:1 unknown fact "client.iq" (did you mean client.ip?)`},
		// values that a fact never has
		{"a network", `client.ip == "10.0.0.0/8"`, `1:14 client.ip is one address and never equals the network "10.0.0.0/8"; put the network into a list and write "client.ip in list.NAME"`},
		{"a network in a list of texts", `client.ip in ["192.0.2.1", "10.0.0.0/8"]`, `1:28 client.ip is one address and never equals the network "10.0.0.0/8"; put the network into a list and write "client.ip in list.NAME"`},
		{"a misspelt word", `spf.result in ["fail", "sotfail"]`, `1:24 spf.result is never "sotfail" (did you mean "softfail"?)`},
		{"a word the other way round", `"MX" == server.role`, `1:1 server.role is never "MX" (it is one of "mx", "submission", "local")`},
	})
}

func checkConditions(t *testing.T, cases []conditionCase) {
	t.Helper()
	for _, c := range cases {
		s := source()
		s.Rules = []RuleSource{{Name: "flood", When: c.when, Action: "accept"}}
		var want []string
		for line := range strings.SplitSeq(c.want, "\n") {
			place, text, _ := strings.Cut(line, " ")
			want = append(want, fmt.Sprintf(`rule[0].when %s rule "flood": %s`, place, text))
		}
		got := wrong(t, s)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %.60s\n got %q\nwant %q", c.why, c.when, got, want)
		}
		for _, word := range inside {
			if !strings.Contains(c.when, word) && strings.Contains(strings.Join(got, "\n"), word) {
				t.Errorf("%s: %q speaks of CEL's insides: %s", c.why, word, got)
			}
		}
	}
}

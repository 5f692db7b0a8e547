package submission

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// query asks a table of patterns; "-" stands for no entry.
func query(t testing.TB, list []rule, key string) string {
	t.Helper()
	r, groups, err := first(t.Context(), list, key)
	if err != nil {
		t.Errorf("%q: %v", key, err)
	}
	if r == nil {
		return "-"
	}
	return expand(r.value, groups)
}

const regexpTable = `# a table with a rule of each kind
/^(ann)@(x)\.test$/ ${1}-$2, $(1)
!/@/ noat
/^cs@x$/i Exact
if /@in\.test$/
if !/^skip/
/^(.*)@/ got-$1
ENDIF
endif
~^tilde@a~ T/x
!!/^twice@/ twice
/^dollar/ a$$b
/^two$$/ never
/[\.]bs/ bsl
/^[]x]br/ br
/^long(a|ab)(c|bcd)/ $1 $2
/^e(x)?@/ <$1>
/^only(x)?@/ $1
/^cont/ aa
 # cm
 bb
/^sl\/ash/ sl
/^nl.$/m nl
/^plus\++@/ plus
/^[[:digit:]]+@/ digits
/^rep{0,2}t@/ rep
/^last/ Last
`

// TestRegexp has the answers of "postmap -q KEY regexp:FILE" of Postfix 3.7.11, and the same table read as pcre.
func TestRegexp(t *testing.T) {
	for _, kind := range []string{kindRegexp, kindPCRE} {
		list, err := parseRules(kind, regexpTable)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ key, want, why string }{
			{"ann@x.test", "ann-x, ann", "substitution"},
			{"ANN@X.TEST", "ANN-X, ANN", "case does not count, and is kept"},
			{"noat", "noat", "a negated rule"},
			{"cs@x", "Exact", "flag i"},
			{"CS@x", "-", "flag i turns case on"},
			{"bob@in.test", "got-bob", "if within if"},
			{"skip@in.test", "-", "the inner if"},
			{"bob@out.test", "-", "the outer if"},
			{"tilde@ab", "T/x", "another delimiter"},
			{"twice@x", "twice", "two ! are none"},
			{"dollarx@", "a$b", "$$"},
			{"a.bs@x", "bsl", "a class"},
			{"]br@x", "br", "a ] that comes first"},
			{"longabcd@x", "a bcd", "groups"},
			{"e@", "<>", "a group that took no part"},
			{"only@x", "", "and nothing else"},
			{"cont@x", "aa bb", "a rule goes on behind a comment"},
			{"sl/ash@x", "sl", "the delimiter after a backslash"},
			{"nl@", "nl", "flag m"},
			{"plus++@", "plus", "a plain + after a backslash"},
			{"42@x", "digits", "a named class"},
			{"rept@x", "rep", "a repetition"},
			{"repppt@x", "-", "too many"},
			{"last@x", "Last", "a rule behind an endif"},
		} {
			if got := query(t, list, test.key); got != test.want {
				t.Errorf("%s %q: got %q, want %q (%s)", kind, test.key, got, test.want, test.why)
			}
		}
	}
}

// TestPOSIX: patterns that POSIX and Perl read in different ways. The answers are those of postmap, but for É, which
// it does not fold in the C locale.
func TestPOSIX(t *testing.T) {
	for _, test := range []struct{ table, key, want, why string }{
		{`/[\.]x/ v`, `a\x@`, "v", "a backslash within [ ] is a character"},
		{`/^[\]@/ v`, `\@`, "v", "so the ] after it ends the class"},
		{`/^[^\]@/ v`, `\@`, "-", "also in a class that is turned around"},
		{`/^(a|ab)/ $1`, "abc@", "ab", "the longest match, not the first one"},
		{`/^a+?b/ v`, "b@", "v", "(a+)?: not the shortest match"},
		{`/^a**b/ v`, "b@", "v", "(a*)*"},
		{"/^É@/ v", "é@x", "v", "case of other letters"},
		{"/a.b/ v", "a\nb@", "v", "newlines are not special"},
		{"/a.b/m v", "a\nb@", "-", "they are with flag m"},
		{"/^b/m v", "a\nb@", "v", "and lines start there"},
		{"/^b/ v", "a\nb@", "-", "but not without"},
		{"/a$/ v", "a\n", "-", "nor do they end"},
		{"/^x/ii v", "X", "v", "flags toggle"},
		{"! /x/ v", "y", "v", "a blank after !"},
		{"if/x/\n/^y/ v\nendif", "y", "-", "if without a blank"},
		{"IF /x/\n/^y/ v\nEndIf", "yx", "v", "words in capitals"},
		{"if /x/\nendif\n/y/ v", "yx", "v", "nothing inside"},
		{"/(((((((((((x)))))))))))/ $11-${11}$(1)1", "x", "x-xx1", "numbers of two digits"},
		{"/(x)/ $1$$-$$1-$1", "x", "x$-$1-x", "$$ beside numbers"},
	} {
		list, err := parseRules(kindRegexp, test.table)
		if err != nil {
			t.Errorf("%q: %v", test.table, err)
		} else if got := query(t, list, test.key); got != test.want {
			t.Errorf("%q, %q: got %q, want %q (%s)", test.table, test.key, got, test.want, test.why)
		}
	}
}

// TestPCRE has answers from pcre_table(5) and pcre2pattern(3).
func TestPCRE(t *testing.T) {
	for _, test := range []struct{ table, key, want, why string }{
		{`/^(\w+)\.(\d+)@/ $1`, "Ann.42@x", "Ann", "Perl's classes"},
		{`/^\w@/ v`, "é@x", "-", "of ASCII"},
		{`/^[[:alpha:]]+@/ v`, "ann@x", "v", "and POSIX's"},
		{`/^[^[:alpha:]]+@/ v`, "ann@x", "-", "turned around"},
		{`/^(?!root)[^@]+@/ v`, "root@x", "-", "looking ahead"},
		{`/^(?!root)[^@]+@/ v`, "ann@x", "v", "looking ahead"},
		{`/(?<=ann)@/ v`, "ann@x", "v", "looking behind"},
		{`/^(.)\1@/ $1`, "aa@x", "a", "a group again"},
		{`/^(a|ab)/ $1`, "abc@", "a", "the first alternative, not the longest"},
		{`/^(a+?)/ $1`, "aaa@", "a", "the shortest match"},
		{`/^(?>a+)ab/ v`, "aaab", "-", "an atomic group"},
		{`/^(?:a)(b)/ $1`, "ab", "b", "a group without a number"},
		{`/^(?-i)a/ v`, "A", "-", "flags inside"},
		{`/^a b # c/x v`, "ab", "v", "flag x"},
		{`/a b # c/Ax v`, "ab", "v", "flag x with a comment and flag A"},
		{`/b/A v`, "ab", "-", "flag A"},
		{`/a|b/A v`, "cb", "-", "flag A holds all alternatives"},
		{`/a.b/ v`, "a\nb", "v", "flag s is on"},
		{`/a.b/s v`, "a\nb", "-", "and toggles"},
		{`/^b/m v`, "a\nb", "v", "flag m"},
		{`/a$/E v`, "a", "v", "flag E"},
		{`/a/X v`, "a", "v", "flag X does nothing since PCRE2"},
		{`/^[^^](b)/ $1`, "ab", "b", "a class of one character"},
		{`/^a\/b\@/ v`, "a/b@", "v", "punctuation after a backslash"},
		{`/^[a\-z]@/ v`, "b@", "-", "a backslash within [ ]"},
		{`/^[a\]]@/ v`, "]@", "v", "also before ]"},
		{`/^\x41\t?/ v`, "a", "v", "a character by its number"},
	} {
		list, err := parseRules(kindPCRE, test.table)
		if err != nil {
			t.Errorf("%q: %v", test.table, err)
		} else if got := query(t, list, test.key); got != test.want {
			t.Errorf("%q, %q: got %q, want %q (%s)", test.table, test.key, got, test.want, test.why)
		}
	}
}

// TestRulesRefuse: what Postfix warns of and skips, and what differs here without a way to notice.
func TestRulesRefuse(t *testing.T) {
	both := []string{kindRegexp, kindPCRE}
	posix, pcre := both[:1], both[1:]
	for _, test := range []struct {
		kinds       []string
		table, want string
	}{
		{both, "# c\n/x/ $1st", `line 2: "$1st" is no number`},
		{both, "/x/ a$", `"$" is no number`},
		{both, "/x/ ${1", `is no number`},
		{both, "/x/ $0", `is no number`},
		{both, "/(x)/ $99999", `is no number`},
		{both, "/oor(.)/ $2", "the pattern has 1 ( )"},
		{both, "!/(x)/ $1", "in a rule with !"},
		{both, "/x/", "a pattern without a value"},
		{both, "/x", "no '/' at its end"},
		{both, "/x\\/ y", "no '/' at its end"},
		{both, "!", "no pattern"},
		{both, "!axa y", "cannot stand between 'a'"},
		{both, "if", "no pattern"},
		{both, "if /foo/ text\nendif", "line 1: text after if"},
		{both, "if /x/\n /y/ z\nendif", "line 1: text after if"},
		{both, "if /x/\nendif x", "line 2: text after endif"},
		{both, "endif", "endif without if"},
		{both, "/x/ y\nif /x/\nif /y/\nendif", "line 2: if without endif"},
		{both, strings.Repeat("if /x/\n", maxNesting+1), "line 101: more than 100 if"},
		{both, "ann@example.org ann", "not a rule"},
		{both, "/x/q y", "the flag 'q' is not known"},
		{both, "/x/!/y/ z", "write if !/pattern/"},
		{both, "/(/ y", "correct the pattern"},
		{both, "/[a/ y", ""},
		{posix, `/^bk(.)\1/ y`, `\1 is not POSIX`},
		{posix, `/\d/ y`, `\d is not POSIX`},
		{posix, `/\<word/ y`, `\< is not POSIX`},
		{posix, `/(?:x)/ y`, "correct the pattern"},
		{posix, `/^basic\(a\)$/x y`, "basic regular expressions"},
		{posix, `/rep{,2}/ y`, "{0,n}"},
		{posix, `/[[.a.]]/ y`, "[. .]"},
		{posix, `/[[:alpha]/ y`, "[: has no :]"},
		{posix, `/[[:foo:]]/ y`, "correct the pattern"},
		{posix, `/x/s y`, "the flag 's'"},
		{pcre, `/x*/U y`, "the flag U"},
		{pcre, `/a\Kb/ y`, `\K is not known`},
		{pcre, `/\Qa.b\E/ y`, `\Q is not known`},
		{pcre, `/\x{41}/ y`, `\x is not known`},
		{pcre, `/(?<n>a)(b)/ $1`, "is not known here"},
		{pcre, `/[^^](?<n>a)(b)/ $1`, "is not known here"},
		{pcre, `/(?P<n>a)/ y`, "is not known here"},
		{pcre, `/(?|a|b)/ y`, "is not known here"},
		{pcre, `/(a)(?1)/ y`, "is not known here"},
		{pcre, `/(?(?=a)b|c)/ y`, "is not known here"},
		{pcre, `/(*UTF)a/ y`, "is not known here"},
		{pcre, `/a++b/ y`, "correct the pattern"},
		{pcre, `/[a-z-[b]]/ y`, "-[ within"},
	} {
		for _, kind := range test.kinds {
			if _, err := parseRules(kind, test.table); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s %.40q: %v, want %q", kind, test.table, err, test.want)
			}
		}
	}
}

// TestBacktracking: a pattern that would not end is an error, never "no match": "!" would make a yes of it.
func TestBacktracking(t *testing.T) {
	m := mustOpen(t, "pcre:"+write(t, "# c\n!/^(a+)+$/ eve\n"))
	start := time.Now()
	owned, _, err := m.Owns(context.Background(), "eve", strings.Repeat("a", 64)+"@example.org")
	if err == nil || owned || !strings.Contains(err.Error(), "line 2: the pattern found no end") {
		t.Errorf("%t, %v", owned, err)
	}
	if took := time.Since(start); took > 20*maxBacktrack {
		t.Errorf("it took %s", took)
	}
}

// Any text: a table inside "if" that is true for all says the same, one inside "if" that is never true says nothing, and an error names
// its line. With pcre only the reading is tried.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{regexpTable, "/a/ b", "!/a/ b\nif /x/\n", "/[\\]a]*(b|c){2,3}/im $1$$", "/(?i)\\d[^]-[a]]/x ${1}", "~\\~~ a\n b"} {
		f.Add(seed, "ann@x.test")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		if _, err := parseRules(kindPCRE, text); err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("pcre: the error %q does not name the line", err)
		}
		list, err := parseRules(kindRegexp, text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("the error %q does not name the line", err)
			}
			return
		}
		answers := []string{query(t, list, key), "-"}
		var got []string
		for _, always := range []string{"if /^/\n", "if !/^/\n"} {
			wrapped, err := parseRules(kindRegexp, always+text+"\nendif\n")
			if err != nil && strings.Contains(err.Error(), "inside each other") {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			got = append(got, query(t, wrapped, key))
		}
		if !slices.Equal(got, answers) {
			t.Errorf("inside of if: %q, alone: %q", got, answers)
		}
	})
}

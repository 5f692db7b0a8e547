package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestWrongRules: what is wrong with a rule beside its condition.
func TestWrongRules(t *testing.T) {
	always := RuleSource{Name: "x", When: "true", Action: "accept"}
	reply := func(text string) RuleSource { return RuleSource{Name: "x", When: "true", Reply: text} }
	tag := func(name, value string) RuleSource {
		return RuleSource{Name: "x", When: "true", Action: "tag", Header: []HeaderText{{name, value}}}
	}
	for _, c := range []struct {
		why  string
		rule RuleSource
		want string
	}{
		{"no name", RuleSource{When: "true", Action: "accept"}, `rule[1] 0:0 the rule has no name; logs and decisions need one: name = "..."`},
		{"upper case", RuleSource{Name: "Flood", When: "true", Action: "accept"}, `rule[1].name 0:0 "Flood" is no name for a rule; use lower-case letters, digits, _ and -`},
		{"a blank", RuleSource{Name: "a b", When: "true", Action: "accept"}, `rule[1].name 0:0 "a b" is no name for a rule; use lower-case letters, digits, _ and -`},
		{"the name of another", RuleSource{Name: "first", When: "true", Action: "accept"}, `rule[1].name 0:0 rule "first" stands twice; give each rule a name of its own`},
		{"no condition", RuleSource{Name: "x", Action: "accept"}, `rule[1] 0:0 rule "x" has no condition; write when = '...', or when = 'true' for always`},
		{"a blank condition", RuleSource{Name: "x", When: " \n", Action: "accept"}, `rule[1] 0:0 rule "x" has no condition; write when = '...', or when = 'true' for always`},
		{"nothing to do", RuleSource{Name: "x", When: "true"}, `rule[1] 0:0 rule "x": it does nothing; give it a reply = "550 5.7.1 ..." or an action (accept, tag, greylist, discard, quarantine)`},
		{"a misspelt action", RuleSource{Name: "x", When: "true", Action: "acept"}, `rule[1].action 0:0 rule "x": unknown action "acept" (did you mean "accept"?); there are reply, accept, tag, greylist, discard and quarantine`},
		{"an action of others", RuleSource{Name: "x", When: "true", Action: "prepend"}, `rule[1].action 0:0 rule "x": unknown action "prepend"; there are reply, accept, tag, greylist, discard and quarantine`},
		{"reply without a reply", RuleSource{Name: "x", When: "true", Action: "reply"}, `rule[1].action 0:0 rule "x": action "reply" needs a reply = "550 5.7.1 ..."`},
		{"accept with a reply", RuleSource{Name: "x", When: "true", Action: "accept", Reply: "550 5.7.1 no"}, `rule[1].reply 0:0 rule "x": a reply goes with no action but "reply"; remove one of the two`},
		{"tag without a field", RuleSource{Name: "x", When: "true", Action: "tag"}, `rule[1].action 0:0 rule "x": action "tag" needs the header to add: header = { "X-Spam-Flag" = "YES" }`},
		{"a field without tag", RuleSource{Name: "x", When: "true", Action: "accept", Header: []HeaderText{{"X-A", "b"}}}, `rule[1].header 0:0 rule "x": header goes with action "tag" only`},
		{"at once without a reply", RuleSource{Name: "x", When: "true", Action: "discard", AtOnce: true}, `rule[1].at_once 0:0 rule "x": at_once goes with a reply only; discard takes effect at the end of the message`},
		// replies
		{"a code to go on with", reply("250 2.0.0 ok"), `rule[1].reply 0:0 rule "x": 250 is no code to refuse with; use 421, 450, 451, 452, 454, 550, 551, 552, 553, 554 or 556`},
		{"only a text", reply("go away"), `rule[1].reply 0:0 rule "x": a reply is a code, an enhanced code and a text, as in "554 5.7.1 Refused by local policy"`},
		{"a placeholder nobody knows", reply("554 5.7.1 {client.pi}"), `rule[1].reply 0:0 rule "x": placeholder {client.pi}: unknown fact "client.pi" (did you mean client.ip?)`},
		{"a list as a placeholder", reply("554 5.7.1 {list.block}"), `rule[1].reply 0:0 rule "x": placeholder {list.block}: only facts and {id} can be filled in`},
		{"a placeholder later than RCPT", reply("554 5.7.1 {dmarc.result}"), `rule[1].reply 0:0 rule "x": placeholder {dmarc.result} is not known before data, but the rule may speak at rcpt; leave it out or ask for it in the condition`},
		{"a placeholder later than connect", RuleSource{Name: "x", When: "client.trusted", Reply: "554 5.7.1 {sender.domain}", AtOnce: true},
			`rule[1].reply 0:0 rule "x": placeholder {sender.domain} is not known before mail, but the rule may speak at connect; leave it out or ask for it in the condition`},
		// fields
		{"a field of ours", tag("Authentication-Results", "x"), `rule[1].header.Authentication-Results 0:0 rule "x": the field Authentication-Results is not a rule's to write; choose one such as X-Spam-Flag`},
		{"a field of the author, whose own would be removed", tag("SUBJECT", "x"), `rule[1].header.SUBJECT 0:0 rule "x": the field SUBJECT is not a rule's to write; choose one such as X-Spam-Flag`},
		{"a field of a mailing list", tag("List-Id", "x"), `rule[1].header.List-Id 0:0 rule "x": the field List-Id is not a rule's to write; choose one such as X-Spam-Flag`},
		{"a colon in the name", tag("X-A:", "x"), `rule[1].header.X-A: 0:0 rule "x": "X-A:" is no name for a header field; use letters, digits and -`},
		{"no name of a field", tag("", "x"), `rule[1].header. 0:0 rule "x": "" is no name for a header field; use letters, digits and -`},
		{"a line break in the value", tag("X-A", "a\r\nBcc: b"), `rule[1].header.X-A 0:0 rule "x": the value of X-A must be one line of plain ASCII of at most 500 bytes`},
		{"a value that is too long", tag("X-A", strings.Repeat("x", 501)), `rule[1].header.X-A 0:0 rule "x": the value of X-A must be one line of plain ASCII of at most 500 bytes`},
		{"a brace in the value", tag("X-A", "{client.ip"), `rule[1].header.X-A 0:0 rule "x": a brace stands alone at byte 1; a placeholder is for example {client.ip}`},
		{"an unknown placeholder in the value", tag("X-A", "{client.pi}"), `rule[1].header.X-A 0:0 rule "x": placeholder {client.pi}: unknown fact "client.pi" (did you mean client.ip?)`},
	} {
		s := Source{DelayReject: true, Rules: []RuleSource{{Name: "first", When: "client.trusted", Action: "accept"}, c.rule}}
		if got := wrong(t, s); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s:\n got %q\nwant %q", c.why, got, c.want)
		}
	}
	if _, problems := Compile(testVocabulary(t), Source{Rules: []RuleSource{always}}); problems != nil {
		t.Errorf("a good rule: %v", problems)
	}
}

// TestAllAtOnce: every mistake of a policy is told in one go, each at its rule.
func TestAllAtOnce(t *testing.T) {
	s := Source{
		Networks: networks,
		Lists:    []NamedList{{Name: "block", Entries: []string{"192.0.2.1/24", "good.example", ""}}, {Name: "Block"}, {Name: "in"}, {Name: "block"}},
		Define:   []Definition{{"a", "client.trustd"}},
		Rules: []RuleSource{
			{Name: "one", When: "a", Reply: "550 5.7.1 {client.pi}"},
			{Name: "two", When: "client.trusted &&", Action: "acept"},
			{Name: "three", When: "client.ip in list.block", Action: "accept"},
		},
	}
	want := []string{
		`define.a 1:1 definition "a": unknown fact "client.trustd" (did you mean client.trusted?)`,
		`list.Block 0:0 "Block" is no name for a list; use lower-case letters, digits and _`,
		`list.block 0:0 list "block" stands twice; give each a name of its own`,
		`list.block[0] 0:0 list "block": "192.0.2.1/24" has bits beyond its length; write 192.0.2.0/24`,
		`list.block[2] 0:0 list "block": an empty entry matches nobody; remove it`,
		`list.in 0:0 "in" is a word of the expression language; choose another name for the list`,
		`rule[0].reply 0:0 rule "one": placeholder {client.pi}: unknown fact "client.pi" (did you mean client.ip?)`,
		`rule[1].action 0:0 rule "two": unknown action "acept" (did you mean "accept"?); there are reply, accept, tag, greylist, discard and quarantine`,
		`rule[1].when 1:18 rule "two": the condition ends too early; something is missing behind its last word`,
	}
	if got := wrong(t, s); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

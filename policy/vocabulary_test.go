package policy

import "testing"

// testFacts is a small vocabulary with a fact of every stage, scope and kind.
func testVocabulary(t testing.TB) *Vocabulary {
	t.Helper()
	word := func(name string, at Stage, scope Scope, words ...string) Fact {
		return Fact{Name: name, Stage: at, Scope: scope, Words: words, Trouble: StringOf("temperror")}
	}
	text := func(name string, at Stage, scope Scope, kind Kind) Fact {
		return Fact{Name: name, Stage: at, Scope: scope, Kind: kind, Trouble: StringOf("")}
	}
	number := func(name string, at Stage, scope Scope) Fact {
		return Fact{Name: name, Type: Int, Stage: at, Scope: scope, Trouble: IntOf(0)}
	}
	v, err := NewVocabulary([]Fact{
		text("client.ip", Connect, OfConnection, KindIP),
		text("client.network", Connect, OfConnection, NoKind),
		word("client.iprev", Connect, OfConnection, "pass", "fail", "permerror", "temperror", "none"),
		{Name: "client.trusted", Type: Bool, Stage: Connect, Trouble: BoolOf(false)},
		word("server.role", Connect, OfConnection, "mx", "submission", "local"),
		text("helo.name", Helo, OfConnection, KindDomain),
		text("auth.user", Mail, OfMessage, KindUser),
		text("sender.address", Mail, OfMessage, KindAddress),
		text("sender.domain", Mail, OfMessage, KindDomain),
		word("spf.result", Mail, OfMessage, "pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"),
		text("rcpt.address", Rcpt, OfRecipient, KindAddress),
		text("rcpt.local", Rcpt, OfRecipient, NoKind),
		number("rcpt.count", Rcpt, OfRecipient),
		number("message.size", Data, OfMessage),
		number("author.fields", Data, OfMessage),
		text("author.domain", Data, OfMessage, KindDomain),
		word("dmarc.result", Data, OfMessage, "pass", "fail", "none", "temperror", "permerror"),
		{Name: "over.client_messages", Type: Bool, Scope: OfMessage, Trouble: BoolOf(false)},
		{Name: "dkim.domains", Type: Strings, Stage: Data, Scope: OfMessage, Trouble: StringsOf(nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVocabularyRefuses(t *testing.T) {
	ok := StringOf("")
	for name, facts := range map[string][]Fact{
		"declared twice":           {{Name: "a.b", Trouble: ok}, {Name: "a.b", Trouble: ok}},
		"one word":                 {{Name: "a", Trouble: ok}},
		"upper case":               {{Name: "a.B", Trouble: ok}},
		"a keyword of CEL":         {{Name: "sender.null", Trouble: ok}},
		"no value for trouble":     {{Name: "a.b"}},
		"a dot at the end":         {{Name: "a.b.", Trouble: ok}},
		"another keyword in front": {{Name: "in.b", Trouble: ok}},
	} {
		if _, err := NewVocabulary(facts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

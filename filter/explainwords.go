package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gatepost.example/filter/history"
	"gatepost.example/policy"
)

// sentence says in words what a fact's value means, "" where the value says it all.
func (x *Explanation) sentence(fact string) string {
	value := x.Fact(fact)
	if name, ok := strings.CutPrefix(fact, "over."); ok && value == "true" {
		text := "limit " + name + " is exceeded"
		if retry := x.Fact(fact + ".retry"); retry != "" {
			text += ", for another " + retry
		}
		return text
	}
	if say := sentences[fact]; say != nil {
		return say(x, value)
	}
	return ""
}

var sentences = map[string]func(x *Explanation, value string) string{
	"dmarc.result": (*Explanation).dmarcWords,
	"dmarc.policy": func(x *Explanation, value string) string {
		if value == "none" || value == "" {
			return ""
		}
		return x.Fact("author.domain") + " asks to " + value + " what fails"
	},
	"dkim.author": func(x *Explanation, value string) string {
		domain := x.Fact("author.domain")
		return map[string]string{
			"none": "there is no signature of " + domain + " at all", "fail": "the signature of " + domain + " is broken",
			"pass": domain + " has signed it", "temperror": "DNS does not give the key of " + domain + "'s signature",
		}[value]
	},
	"spf.result": func(x *Explanation, value string) string {
		domain, by := x.Fact("spf.domain"), ""
		if term := x.Fact("spf.term"); term != "" {
			by = " by " + term
		}
		return map[string]string{
			"pass": domain + " lets this client send" + by, "fail": domain + " says that this client may not send for it" + by,
			"softfail": domain + " doubts that this client may send for it" + by, "none": dashed(domain) + " publishes no SPF record",
			"neutral": domain + " says nothing of this client", "permerror": "the SPF record of " + domain + " is broken",
			"temperror": "DNS does not give the SPF record of " + domain,
		}[value]
	},
	"client.dnsbl_score": func(x *Explanation, value string) string {
		lists := x.Fact("client.dnsbls")
		if lists == "" {
			return ""
		}
		return fmt.Sprintf("the client's address is listed by %s, which counts %s", lists, value)
	},
	"client.reputation": func(x *Explanation, value string) string { return "the client's reputation here is " + value },
	"client.iprev": func(x *Explanation, value string) string {
		if value == "pass" {
			return ""
		}
		return "the client's name and address do not confirm each other (" + value + ")"
	},
	"greylist.wait": func(x *Explanation, value string) string {
		if value != "true" {
			return ""
		}
		return "this sender was never here: it comes back by itself, from " + dashed(x.Fact("greylist.retry")) + " on"
	},
	"sender.correspondent": func(x *Explanation, value string) string {
		if value == "true" {
			return "one of our users has written to the sender"
		}
		return "nobody here has written to the sender"
	},
	"sender.owned": func(x *Explanation, value string) string {
		if value == "true" {
			return ""
		}
		return fmt.Sprintf("no entry of login_maps lets %s send as %s", x.Fact("auth.user"), x.Fact("sender.address"))
	},
	"sender.mx": func(x *Explanation, value string) string {
		domain := x.Fact("sender.domain")
		return map[string]string{"null": domain + " says that it takes no mail", "none": domain + " is not found in DNS"}[value]
	},
	"author.fields": func(x *Explanation, value string) string {
		if value == "1" {
			return ""
		}
		return "the message has " + value + " From fields"
	},
	"auth.user": func(x *Explanation, value string) string {
		if value == "" {
			return ""
		}
		return value + " is logged in"
	},
	"client.trusted": func(x *Explanation, value string) string {
		if value != "true" {
			return ""
		}
		return "the client is in trust.networks"
	},
}

// dmarcWords says why DMARC came to its result.
func (x *Explanation) dmarcWords(value string) string {
	domain := x.Fact("author.domain")
	switch value {
	case "fail":
		return fmt.Sprintf("DMARC fails for %s: SPF is %s for %s, the best DKIM result is %s, and neither stands for %s",
			domain, dashed(x.Fact("spf.result")), dashed(x.Fact("spf.domain")), dashed(x.Fact("dkim.result")), domain)
	case "temperror":
		return "DNS does not say what " + domain + " wants"
	case "none":
		return domain + " publishes no DMARC record"
	case "pass":
		return "DMARC passes for " + domain
	}
	return ""
}

// deciding names the rule that decided, or, where none did and none marked the message, the first that would have; "" for none.
func (x *Explanation) deciding() string {
	l := x.Line
	switch {
	case l == nil:
		return ""
	case l.Rule == "" && len(l.Tags) == 0 && len(l.Woulds) > 0:
		return l.Woulds[0].Rule
	}
	return l.Rule
}

// mend gives the command that makes it different next time.
func (w *words) mend() string {
	l := w.x.Line
	switch {
	case l == nil:
		return "nothing to mend here; gatepost history --client " + dashed(w.x.Fact("client.ip")) + " shows what else this client did"
	case l.PutOff:
		return `nothing; mixed = "mildest" in [recipients] takes all recipients at once, under the mildest decision`
	case !w.unwelcome():
		return w.block()
	case w.rule == nil && l.Rule == "" && len(l.Tags) > 0:
		return "gatepost mode observe --rule " + l.Tags[len(l.Tags)-1]
	case w.rule == nil && l.Rule == "":
		return "nothing: no rule did anything"
	case w.rule == nil:
		return "gatepost mode observe --rule " + l.Rule
	}
	for _, c := range w.rule.Unless {
		if text := w.undo(c); text != "" {
			return text
		}
	}
	if text := w.allow(); text != "" {
		return text
	}
	if l.Rule == "" {
		return "nothing: rule " + w.rule.Name + " only watched; gatepost mode enforce --rule " + w.rule.Name + " lets it act"
	}
	return "gatepost mode observe --rule " + w.rule.Name
}

// hiddenName finds somebody whom the history knows by a hash only.
var hiddenName = regexp.MustCompile(history.Mark + "[a-z2-7]{16}")

// unhidden says of a command in which a hash stands for somebody that it does not work as it is: limits and lists have the name itself.
func unhidden(command string) string {
	if name := hiddenName.FindString(command); name != "" {
		return command + ", with the name itself for " + name + ", which [history] addresses hides here"
	}
	return command
}

// unwelcome reports whether the message was not simply taken.
func (w *words) unwelcome() bool {
	l := w.x.Line
	return l.Refuses() || len(l.Tags) > 0 || len(l.Woulds) > 0 || l.Action == policy.Answer || l.Action == policy.Discard || l.Action == policy.Quarantine
}

// undo gives the command that takes back what made a term true.
func (w *words) undo(c policy.Change) string {
	for _, fact := range c.Facts {
		name, isLimit := strings.CutPrefix(fact, "over.")
		switch value := w.x.Fact(fact); {
		case isLimit && value == "true":
			if key := w.limitKey(name); key != "" {
				return fmt.Sprintf("gatepost limit reset %s %s", name, quotedWord(key))
			}
		case c.List != "" && !c.In:
			return fmt.Sprintf("gatepost list remove %s %s", c.List, quotedWord(firstOf(c.Entry, value)))
		case fact == "client.reputation" && (value == "bad" || value == "poor"):
			return "gatepost reputation forget " + quotedWord(w.x.Fact("client.ip"))
		case fact == "sender.owned" && value == "false":
			return fmt.Sprintf("add %s for %s to %s", w.x.Fact("sender.address"), w.x.Fact("auth.user"), w.file.Submission.LoginMaps)
		case fact == "greylist.wait":
			if text := w.allow(); text != "" {
				return "nothing, the sender comes back by itself; to let it through at once: " + text
			}
		}
	}
	return ""
}

// allow gives the command that puts the sender into a list by which a rule above would have accepted the message.
func (w *words) allow() string {
	for _, fact := range []string{"sender.domain", "author.domain", "sender.address", "client.ip", "client.network"} {
		for _, r := range w.x.Rules {
			if r.Name == w.x.deciding() {
				break
			}
			if r.What != "accept" || r.State != policy.NotMatched || r.Observe {
				continue
			}
			for _, c := range r.Unless {
				if c.List != "" && c.In && slices.Equal(c.Facts, []string{fact}) && w.x.Fact(fact) != "" {
					return fmt.Sprintf("gatepost list add %s %s --for 30d --note %q", c.List, quotedWord(w.x.Fact(fact)), "id "+w.x.Record.ID)
				}
			}
		}
	}
	return ""
}

// block gives the command that refuses such mail next time.
func (w *words) block() string {
	for _, fact := range []string{"sender.domain", "client.ip", "sender.address"} {
		for _, r := range w.x.Rules {
			if r.Final && r.What != "accept" && r.State == policy.NotMatched {
				for _, c := range r.Unless {
					if c.List != "" && c.In && slices.Equal(c.Facts, []string{fact}) && w.x.Fact(fact) != "" {
						return fmt.Sprintf("nothing to mend; to refuse it: gatepost list add %s %s", c.List, quotedWord(w.x.Fact(fact)))
					}
				}
			}
		}
	}
	return "nothing to mend; gatepost reputation learn spam tells that it was unwanted"
}

// quotedWord makes a sender's text one word of a shell command, or a place holder where it could be more.
func quotedWord(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:@_+=/|~-") != "" || text == "" || text[0] == '-' {
		return "'" + strings.NewReplacer("'", "?", "\\", "?").Replace(printable(text)) + "'"
	}
	if strings.Contains(text, "|") || strings.HasPrefix(text, "~") {
		return "'" + text + "'"
	}
	return text
}

package page

import (
	"strings"
	"testing"
)

// look says in words what has the focus: its tag, what it is called, and "unseen" where nothing on the page shows that it has it.
const look = `(() => {
	const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e)
	const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 &&
		box.width > 0 && box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight
	const name = e.labels && e.labels.length ? e.labels[0].textContent : e.textContent
	return e.tagName.toLowerCase() + " " + name.trim() + (seen ? "" : " unseen")
})()`

// walk presses Tab once for each stop and demands that the focus, seen, comes there.
func (p *tab) walk(stops ...string) {
	p.site.t.Helper()
	for _, want := range stops {
		p.press("Tab")
		if got := p.evaluate(look); got != want {
			p.site.t.Fatalf("on %s Tab came to %q, not to %q", p.evaluate("location.href"), got, want)
		}
	}
}

// opens presses Enter and demands that the page of a path comes, with a heading.
func (p *tab) opens(path, heading string) {
	p.site.t.Helper()
	p.loads(func() { p.press("Enter") })
	if at, h := p.evaluate("location.pathname + location.search"), p.evaluate(`document.querySelector("h1").textContent`); at != path || h != heading {
		p.site.t.Fatalf("Enter opened %s (%s), not %s (%s)", at, h, path, heading)
	}
}

// TestKeys goes through the page by keys alone: every stop of Tab in its order, what Enter opens, and that the focus is always seen (WCAG 2.2, 2.1.1
// Keyboard, 2.1.2 No Keyboard Trap, 2.4.1 Bypass Blocks, 2.4.3 Focus Order, 2.4.7 Focus Visible).
func TestKeys(t *testing.T) {
	s := start(t)
	p := s.tab(s.base + "/")
	head := []string{"a To the content", "a Gatepost", "a Overview", "a Reputations", "a Limits", "a Another policy?"}
	p.walk(head...)
	p.walk("a 30 days", "input Address, domain, id or any text", "button Search", "a accepted too")
	p.press("Tab")
	first := p.evaluate(`document.querySelector("table.rows a").textContent`)
	if got := p.evaluate(look); got != "a "+first {
		t.Fatalf("behind the search Tab came to %q, not to the first refusal, %s", got, first)
	}
	p.opens("/explain?id="+first, first)

	// Past what stands on every page.
	p.open(s.base + "/")
	p.walk(head[0])
	p.press("Enter")
	p.walk("a 30 days")
	p.opens("/?days=30", "Overview")

	// A search, and back by Shift and Tab.
	p.walk(head...)
	p.walk("a 24 hours", "input Address, domain, id or any text")
	p.write("cheap.example")
	p.opens("/?q=cheap.example", "Overview")
	p.walk(head...)
	p.walk("a 30 days", "input Address, domain, id or any text", "button Search", "a clear")
	p.press("Tab", shift)
	if got := p.evaluate(look); got != "button Search" {
		t.Errorf("Shift and Tab came to %q", got)
	}

	// From page to page.
	for _, next := range []struct{ stop, path, heading string }{
		{"a Reputations", "/reputation", "Reputations"}, {"a Limits", "/limits", "Limits near their edge"}, {"a Another policy?", "/policy", "What would another policy have done?"},
	} {
		p.open(s.base + "/")
		for n := 0; p.evaluate(look) != next.stop && n < len(head); n++ {
			p.press("Tab")
		}
		p.opens(next.path, next.heading)
	}

	// The form of another policy: the field of many lines holds nobody, and the button sends it.
	for text, want := range map[string]string{"[[rule]]": "the rule has no name", `mode = "enforce"`: "Of "} {
		p.open(s.base + "/policy")
		p.walk(head...)
		p.walk("input File", "textarea Or text")
		p.write(text)
		p.walk("select Over the last", "button Decide again")
		p.opens("/policy", "What would another policy have done?")
		if said := p.evaluate(`document.querySelector("[role=alert], form ~ h2").textContent`); !strings.Contains(said, want) {
			t.Errorf("of the policy %s the page says %q", text, said)
		}
	}
}

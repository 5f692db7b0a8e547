package policyfile

import (
	"fmt"
	"testing"
)

const sample = "# [not] a = header\n" + // 1
	"mode = 'x' # mode = 'y'\n" + // 2
	"[ server ]\n" + // 3
	"name=\"\"\n" + // 4
	"'quoted key' . \"b.c\" = 3\n" + // 5
	"text = '''\n" + // 6
	"[dns]\n" + // 7: inside a text
	"timeout = \"\"'''\n" + // 8
	"[[rule]]\n" + // 9
	"name = \"ü\" \n" + // 10
	"  [rule.header]\n" + // 11
	"  X-A = \"1\"\n" + // 12
	"[[rule]]\n" + // 13
	"header = { \"X.B\" = '2', c = [ 1, [ \"three\" ], ] }\n" + // 14
	"[list]\n" + // 15
	"block = [ # [\n" + // 16
	"  'a', # ]\n" + // 17
	"  \"\"\"b\"\"\"\n" + // 18
	"]\n" + // 19
	"after = 1979-05-27 07:32:00\r\n" // 20

func TestPlacesOfKeysAndValues(t *testing.T) {
	p := newPlaces(sample)
	tests := []struct{ path, key, value string }{
		{"mode", "2:1", "2:8"},
		{"server", "3:1", "3:1"},
		{"server.name", "4:1", "4:6"},
		{`server."quoted key"`, "5:1", "5:1"},
		{`server."quoted key"."b.c"`, "5:1", "5:24"},
		{"server.text", "6:1", "6:8"},
		{"rule", "9:1", "9:1"},
		{"rule[0]", "9:1", "9:1"},
		{"rule[0].name", "10:1", "10:8"},
		{"rule[0].header", "11:3", "11:3"},
		{"rule[0].header.X-A", "12:3", "12:9"},
		{"rule[1]", "13:1", "13:1"},
		{"rule[1].header", "14:1", "14:10"},
		{`rule[1].header."X.B"`, "14:12", "14:20"},
		{"rule[1].header.c[1][0]", "14:36", "14:36"},
		{"list.block", "16:1", "16:9"},
		{"list.block[0]", "17:3", "17:3"},
		{"list.block[1]", "18:3", "18:3"},
		{"list.after", "20:1", "20:9"},
		// What is not there is where its table is.
		{"dns.timeout", "1:1", "1:1"},
		{"rule[1].when", "13:1", "13:1"},
		{"list.block[7]", "16:1", "16:9"},
	}
	for _, test := range tests {
		at := p.find(test.path)
		if got := show(p, at.key) + " " + show(p, at.value); got != test.key+" "+test.value {
			t.Errorf("%s: got %s, want %s %s", test.path, got, test.key, test.value)
		}
	}
	if p.broken || p.deep >= 0 || len(p.twice) > 0 {
		t.Errorf("broken %v, deep %d, twice %v", p.broken, p.deep, p.twice)
	}
}

func show(p *places, offset int) string {
	line, col := p.position(offset)
	return fmt.Sprintf("%d:%d", line, col)
}

func TestPlacesInsideTexts(t *testing.T) {
	tests := []struct {
		name, text string
		line, col  int // of the text as it is read
		want       string
	}{
		{"literal", "a = 'xyz'", 1, 3, "1:8"},
		{"its first character", "a = 'xyz'", 1, 1, "1:6"},
		{"behind its end", "a = 'xyz'", 1, 9, "1:9"},
		{"a line that it has not", "a = 'xyz'", 5, 1, "1:9"},
		{"columns are characters", "a = 'üöä'", 1, 3, "1:8"},
		{"basic", `a = "xyz"`, 1, 3, "1:8"},
		{"behind an escape", `a = "\"x\u00e4y"`, 1, 4, "1:15"},
		{"behind an escaped backslash", `a = "\\n"`, 1, 2, "1:8"},
		{"a line end that is an escape", `a = "x\ny"`, 2, 1, "1:9"},
		{"several lines", "a = '''x\n  yz'''", 2, 3, "2:3"},
		{"the first line end is no part", "a = '''\nx\n  yz'''", 2, 3, "3:3"},
		{"nor is a CRLF", "a = '''\r\nx\r\n  yz'''", 2, 3, "3:3"},
		{"basic lines", "a = \"\"\"\nx\n  yz\"\"\"", 2, 3, "3:3"},
		{"a joined line", "a = \"\"\"x\\\n   yz\"\"\"", 1, 3, "2:5"},
		{"quotes in quotes", "a = \"\"\"\"\"xyz\"\"\"\"\"", 1, 6, "1:13"},
		{"behind the end of a line", "a = '''x\nyz'''", 1, 7, "1:9"},
		{"of no text", "a = 3", 1, 2, "1:5"},
		{"of nothing", "b = 'x'", 1, 2, "1:1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPlaces(test.text)
			if got := show(p, p.inside("a", test.line, test.col)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	v := vocabulary(b)
	text := policies(b, "good", 3)["everything.good.toml"]
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("f", text, v); err != nil {
			b.Fatal(err)
		}
	}
}

package page

import (
	"fmt"
	"html"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// demoLines is how much of the demo's table the picture shows.
const demoLines = 54

// frame is the height of the picture without its lines: the margins, and what the browser takes off its window.
const frame = 136

// demoSample is what is drawn where make pictures has not run the demo.
const demoSample = `
    WHAT WAS SENT                                                      DECIDED  SPOKEN  BY RULE
 5  the bank spoofed: no signature at all                              data     data    spoofed
    reply to DATA: 550 5.7.1 Email rejected per DMARC policy for bank.example (id 5K8P-EPGW)
`

// terminal is a page that looks like a terminal with a text in it.
const terminal = `<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #16181d; color: #d7dae0; font: 14px/1.45 "DejaVu Sans Mono", monospace }
pre { margin: 0; padding: 18px 22px } b { color: #fff } .taken { color: #8bd08b } .later { color: #e6c06a } .refused { color: #ff8f80 } .field { color: #8fa3bf }
</style><pre>%s</pre>`

var (
	demoHead  = regexp.MustCompile(`^    WHAT WAS SENT|^ ?\d+  |^    the same, `)
	demoReply = regexp.MustCompile(`^    reply to .*: ([245])\d\d `)
	classes   = map[string]string{"2": "taken", "4": "later", "5": "refused"}
)

// colored gives a line of the demo as HTML.
func colored(line string) string {
	text := html.EscapeString(line)
	switch reply := demoReply.FindStringSubmatch(line); {
	case demoHead.MatchString(line):
		return "<b>" + text + "</b>"
	case reply != nil:
		return `<span class="` + classes[reply[1]] + `">` + text + "</span>"
	case strings.HasPrefix(line, "    | "):
		return `<span class="field">` + text + "</span>"
	}
	return text
}

// TestDemoPicture draws the demo's table as a terminal shows it: what make demo printed into the file of GATEPOST_DEMO. It is readable: the text
// fills the picture's width, and refusals are red.
func TestDemoPicture(t *testing.T) {
	text := demoSample
	if path := os.Getenv("GATEPOST_DEMO"); path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = string(content)
	}
	_, table, found := strings.Cut(text, "\n    WHAT WAS SENT")
	if !found {
		t.Fatalf("the demo has no table:\n%s", text)
	}
	lines := []string{"<b>$ make demo</b>\n"}
	for line := range strings.Lines("    WHAT WAS SENT" + table) {
		if lines = append(lines, colored(strings.TrimSuffix(line, "\n"))+"\n"); len(lines) > demoLines {
			break
		}
	}
	dir := t.TempDir()
	page := filepath.Join(dir, "demo.html")
	if err := os.WriteFile(page, []byte(fmt.Sprintf(terminal, strings.Join(lines, ""))), 0o644); err != nil {
		t.Fatal(err)
	}
	into := dir
	if kept := os.Getenv("GATEPOST_PICTURES"); kept != "" {
		into = kept
	}
	file := filepath.Join(into, "demo.png")
	s := &site{t: t, typed: chromium(t), dir: dir}
	s.browse("file://"+page, fmt.Sprintf("--window-size=1060,%d", frame+len(lines)*21), "--screenshot="+file)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if !hasRed(picture) {
		t.Error("no refusal is red")
	}
}

// hasRed reports whether a picture has a pixel with much more red than green and blue: the edges of letters are darker than their color.
func hasRed(picture image.Image) bool {
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if r, g, b, _ := picture.At(x, y).RGBA(); r>>8 > g>>8+0x30 && r>>8 > b>>8+0x30 {
				return true
			}
		}
	}
	return false
}

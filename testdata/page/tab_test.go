package page

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"time"
)

// tab is a page of the browser in which keys are pressed. It speaks the DevTools protocol over two pipes: messages of JSON that end with a zero byte,
// which chromium reads from its descriptor 3 and writes to 4.
type tab struct {
	site    *site
	to      io.Writer
	told    chan told
	session string
	last    int // the number of the last request
	loaded  int // pages that came
}

// told is an answer or an event of the browser.
type told struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// object is what a request takes.
type object map[string]any

// tabTime bounds how long the browser may take for one thing.
const tabTime = time.Minute

// tab starts the browser with a page in it.
func (s *site) tab(url string) *tab {
	s.t.Helper()
	reads, to, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	from, writes, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	browser := exec.Command(s.typed, append(s.flags(), "--remote-debugging-pipe", "--window-size=1280,1500")...)
	browser.ExtraFiles = []*os.File{reads, writes}
	if err := browser.Start(); err != nil {
		s.t.Fatal(err)
	}
	reads.Close()
	writes.Close()
	p := &tab{site: s, to: to, told: make(chan told, 100)}
	go p.listen(from)
	s.t.Cleanup(func() {
		to.Close() // then the browser ends
		for range p.told {
		}
		_ = browser.Wait()
	})
	var target struct{ TargetID string }
	p.ask("Target.createTarget", object{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.ask("Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	p.ask("Page.enable", nil, nil)
	p.ask("Emulation.setFocusEmulationEnabled", object{"enabled": true}, nil)
	p.open(url)
	return p
}

// listen hands on what the browser says, until it ends.
func (p *tab) listen(from *os.File) {
	defer close(p.told)
	defer from.Close()
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var t told
		if err := json.Unmarshal(text[:len(text)-1], &t); err == nil {
			p.told <- t
		}
	}
}

// hear gives the next that the browser says, and counts the pages that came.
func (p *tab) hear(deadline <-chan time.Time) told {
	p.site.t.Helper()
	select {
	case t, open := <-p.told:
		if !open {
			p.site.t.Fatal("the browser ended")
		}
		if t.Method == "Page.loadEventFired" {
			p.loaded++
		}
		return t
	case <-deadline:
		p.site.t.Fatal("the browser does not answer")
	}
	return told{}
}

// ask sends one request and reads the answer into out, which may be nil.
func (p *tab) ask(method string, params object, out any) {
	p.site.t.Helper()
	p.last++
	request := object{"id": p.last, "method": method, "params": params}
	if params == nil {
		delete(request, "params")
	}
	if p.session != "" {
		request["sessionId"] = p.session
	}
	text, err := json.Marshal(request)
	if err != nil {
		p.site.t.Fatal(err)
	}
	if _, err := p.to.Write(append(text, 0)); err != nil {
		p.site.t.Fatal(err)
	}
	answer, deadline := told{}, time.After(tabTime)
	for answer.ID != p.last {
		answer = p.hear(deadline)
	}
	if answer.Error != nil {
		p.site.t.Fatalf("%s: %s", method, answer.Error)
	}
	if out != nil {
		if err := json.Unmarshal(answer.Result, out); err != nil {
			p.site.t.Fatalf("%s: %v", method, err)
		}
	}
}

// loads waits for the page that something opens.
func (p *tab) loads(do func()) {
	p.site.t.Helper()
	before, deadline := p.loaded, time.After(tabTime)
	for do(); p.loaded == before; {
		p.hear(deadline)
	}
}

func (p *tab) open(url string) {
	p.site.t.Helper()
	p.loads(func() { p.ask("Page.navigate", object{"url": url}, nil) })
}

// evaluate gives the text that a term comes to in the page.
func (p *tab) evaluate(term string) string {
	p.site.t.Helper()
	var out struct {
		Result           struct{ Value string }
		ExceptionDetails json.RawMessage
	}
	p.ask("Runtime.evaluate", object{"expression": term}, &out)
	if out.ExceptionDetails != nil {
		p.site.t.Fatalf("%s: %s", term, out.ExceptionDetails)
	}
	return out.Result.Value
}

// keys are those that are pressed by name: what they write, and their number.
var keys = map[string]struct {
	text   string
	number int
}{"Tab": {"", 9}, "Enter": {"\r", 13}}

// shift is the modifier of the key Shift.
const shift = 8

// press presses a key and lets it go.
func (p *tab) press(key string, modifiers ...int) {
	p.site.t.Helper()
	event := object{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": keys[key].number, "text": keys[key].text, "modifiers": 0}
	if len(modifiers) == 1 {
		event["modifiers"] = modifiers[0]
	}
	p.ask("Input.dispatchKeyEvent", event, nil)
	event["type"], event["text"] = "keyUp", ""
	p.ask("Input.dispatchKeyEvent", event, nil)
}

// write types a text, key by key.
func (p *tab) write(text string) {
	p.site.t.Helper()
	for _, r := range text {
		p.ask("Input.dispatchKeyEvent", object{"type": "keyDown", "key": string(r), "text": string(r)}, nil)
		p.ask("Input.dispatchKeyEvent", object{"type": "keyUp", "key": string(r)}, nil)
	}
}

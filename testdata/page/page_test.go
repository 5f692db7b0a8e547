package page

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter"
	"gatepost.example/policy/policyfile"
)

// site is a daemon over the data of a day, and a browser that is logged in.
type site struct {
	t             *testing.T
	dir, base     string
	binary, typed string
}

// chromium gives the browser.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("GATEPOST_CI") != "" {
			t.Fatal("chromium is missing: install the package chromium")
		}
		t.Skip("chromium is missing: install the package chromium")
	}
	return path
}

// start makes the day, starts a daemon on it and logs the browser in.
func start(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, typed: chromium(t), binary: os.Getenv("GATEPOST_BINARY")}
	var err error
	if s.dir, err = os.MkdirTemp("", "gatepost-page-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if s.binary == "" {
		s.binary = filepath.Join(s.dir, "gatepost")
		build := exec.Command("go", "build", "-o", s.binary, "./cmd/gatepost")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	s.begin()
	out, err := exec.Command(s.binary, "page", "--policy", s.policy()).Output()
	if err != nil {
		t.Fatalf("gatepost page: %v", err)
	}
	link := strings.TrimSpace(string(out))
	s.base, _, _ = strings.Cut(link, "/login")
	if seen := s.browse(link, "--dump-dom"); !strings.Contains(seen, "You are logged in") {
		t.Fatalf("the link does not log in:\n%s", seen)
	}
	return s
}

func (s *site) policy() string { return filepath.Join(s.dir, "policy.toml") }

// begin writes the policy and the day, and starts the daemon.
func (s *site) begin() {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	shipped, err := os.ReadFile(filepath.Join("..", "..", "policy.toml"))
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.Replace(string(shipped), `mode = "observe"`, `mode = "enforce"`, 1)
	text = strings.Replace(text, "[listen]\n", fmt.Sprintf("[listen]\nmilter = [\"unix:%s/milter.sock\"]\nadmin = \"unix:%s/admin.sock\"\nhttp = %q\n", s.dir, s.dir, address), 1)
	text = strings.Replace(text, "[server]\n", fmt.Sprintf("[server]\nname = \"mx.example.net\"\ndirectory = \"%s/state\"\n", s.dir), 1)
	if err := os.WriteFile(s.policy(), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := policyfile.Load(s.policy(), vocabulary)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := MakeDay(filepath.Join(s.dir, "state"), file, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	daemon := exec.Command(s.binary, "serve", "--policy", s.policy())
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		_ = daemon.Wait() // how it ends is another test's
	})
	for range 200 {
		if r, err := http.Get("http://" + address + "/healthz"); err == nil {
			r.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatal("the daemon serves no page")
}

// flags are those of every run of the browser.
func (s *site) flags() []string {
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + filepath.Join(s.dir, "browser"),
	}
}

// browse runs the browser and gives what it prints.
func (s *site) browse(url string, flags ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.typed, append(append(s.flags(), flags...), url)...).Output()
	if err != nil {
		s.t.Fatalf("chromium %s: %v", url, err)
	}
	return string(out)
}

// picture takes a picture of a page, which is kept where GATEPOST_PICTURES says.
func (s *site) picture(name, path string, width, height int, more ...string) image.Image {
	s.t.Helper()
	dir := os.Getenv("GATEPOST_PICTURES")
	if dir == "" {
		dir = s.dir
	}
	file := filepath.Join(dir, name+".png")
	s.browse(s.base+path, append(more, fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot="+file)...)
	f, err := os.Open(file)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return picture
}

// TestPage: what a person sees after a day of mail.
func TestPage(t *testing.T) {
	s := start(t)
	seen := s.browse(s.base+"/", "--dump-dom")
	for _, want := range []string{"The last 24 hours", "What was done", "By which rule", "SPF", "DKIM", "DMARC", "Newest refusals", "spoofed", "null-mx", "all is well"} {
		if !strings.Contains(seen, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	if n := strings.Count(seen, "<rect"); n < 60 {
		t.Errorf("the plots have %d bars, a day has more", n)
	}
	if strings.Contains(seen, "<script") || strings.Contains(seen, "<title>owned") {
		t.Error("a sender's script stands in the page")
	}
	_, rest, _ := strings.Cut(seen, `href="/explain?id=`)
	id, _, _ := strings.Cut(rest, `"`)
	why := s.browse(s.base+"/explain?id="+id, "--dump-dom")
	for _, want := range []string{id, "Because", "Unless", "DNS then", "To mend", "The session", "decided"} {
		if !strings.Contains(why, want) {
			t.Errorf("the explanation of %s lacks %q", id, want)
		}
	}
	attacked := s.browse(s.base+"/?q=cheap.example", "--dump-dom")
	if !strings.Contains(attacked, "&lt;script&gt;document.title='owned'") || strings.Contains(attacked, "<script") {
		t.Error("the attack is not shown as the text that it is")
	}
	for path, want := range map[string]string{"/reputation": "203.0.113.99", "/?days=30": "The last 30 days", "/limits": "Limits near their edge", "/policy": "Paste a policy"} {
		if seen := s.browse(s.base+path, "--dump-dom"); !strings.Contains(seen, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	s.picture("overview", "/", 1280, 1500)
	s.picture("overview-dark", "/", 1280, 1500, "--blink-settings=preferredColorScheme=0")
	s.picture("explanation", "/explain?id="+id, 1280, 1100)
	fits(t, s.picture("phone", "/", 390, 2000), 390)
	fits(t, s.picture("phone-policy", "/policy", 390, 1100), 390)
	fits(t, s.picture("phone-explanation", "/explain?id="+id, 390, 1800), 390)
}

// fits demands that nothing sticks out at the right: the last columns have one colour.
func fits(t *testing.T, picture image.Image, width int) {
	t.Helper()
	if got := picture.Bounds().Dx(); got != width {
		t.Errorf("the picture is %d wide, not %d", got, width)
		return
	}
	for x := width - 8; x < width; x++ {
		for y := 200; y < picture.Bounds().Dy(); y++ {
			if picture.At(x, y) != picture.At(width-1, 200) {
				t.Errorf("something sticks out at %d, %d", x, y)
				return
			}
		}
	}
}

package soak

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDescriptors: a session for which there is no descriptor waits or is closed, one that is under way is served; the log says it, and not for each; the
// daemon lives, and is well afterwards.
func TestDescriptors(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Before: []string{"prlimit", "--nofile=60:60"}})
	serves(t, d, "at first")
	inside := make(chan struct{}, 1)
	var under sync.WaitGroup
	under.Go(func() {
		if err := slowly(d, inside, 2*time.Second); err != nil {
			t.Errorf("a session that was under way: %v", err)
		}
	})
	<-inside
	release := hold(t, d.Milter, 150)
	under.Wait()
	release()
	for range 50 {
		if a, err := d.Send(good()); err == nil && a.Code == 250 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	serves(t, d, "when there is room again")
	says(t, d, "all is well")
	oncePerMinute(t, d)
	if kinds := d.kinds(); kinds["accepting a connection failed; trying on"] == 0 {
		t.Errorf("the log does not say that connections could not be accepted: %v", kinds)
	}
}

// TestFewDescriptors: with fewer descriptors than listen.sessions would need, as under ulimit -n, who comes beyond what there is room for is told
// 421 4.3.2 while there still is a descriptor for it.
func TestFewDescriptors(t *testing.T) {
	const served = 50
	d := Start(t, Options{Zone: zone, Policy: counting, Before: []string{"prlimit", fmt.Sprintf("--nofile=%d:%[1]d", 160+2*served)}})
	if n := opened(t, d, "192.0.2.1", served); n != served {
		t.Errorf("%d of %d sessions were let in", n, served)
	}
	for range 20 {
		if a, err := d.Send(good()); err != nil || a.Code != 421 || !strings.Contains(a.Text, "4.3.2") {
			t.Errorf("one beyond them got %+v, %v", a, err)
		}
	}
	if kinds := d.kinds(); kinds["there are too few descriptors (ulimit -n, LimitNOFILE= of the unit) for listen.sessions; fewer are served at a time"] != 1 {
		t.Errorf("the log says %v", kinds)
	}
}

// kinds counts the warnings and errors of the log by their message, those that were held back among them.
func (d *Daemon) kinds() map[string]int {
	out := map[string]int{}
	d.EachLine("", func(line map[string]any) {
		if line["level"] == "WARN" || line["level"] == "ERROR" {
			held, _ := line["repeated"].(float64)
			out[fmt.Sprint(line["msg"])] += 1 + int(held)
		}
	})
	return out
}

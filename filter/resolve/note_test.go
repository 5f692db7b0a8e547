package resolve_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// TestCacheHoldsNoMessage: what a cached answer is asked by, its name and who reads it, are parts of header fields. The cache keeps none of these.
func TestCacheHoldsNoMessage(t *testing.T) {
	const answers, field = 30, 1 << 20
	zone := ""
	for i := range answers {
		zone += fmt.Sprintf("s%d.example.org 300 TXT \"p=\"\n", i)
	}
	s, err := resolvetest.NewServer(resolvetest.Must(zone))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := resolve.New(resolve.Config{Servers: []string{s.Addr()}})
	t.Cleanup(c.Close)
	before := heap()
	for i := range answers {
		header := strings.Repeat("x", field) + "rsa-sha256" + fmt.Sprintf("s%d.example.org", i)
		algorithm, name := header[field:field+10], header[field+10:]
		for range 2 { // the second is out of the cache
			c.Lookup(context.Background(), name, resolve.TXT).Note(algorithm, func() any { return true })
		}
	}
	if held := heap() - before; held > answers*field/4 {
		t.Errorf("%d answers hold %d bytes", answers, held)
	}
	runtime.KeepAlive(c)
}

// heap gives the bytes that are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

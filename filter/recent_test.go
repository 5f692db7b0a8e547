package filter

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"
)

// TestTheLastMessagesAreRemembered: of each of the last fifty thousand messages who sent it, of older ones nothing, in little memory.
func TestTheLastMessagesAreRemembered(t *testing.T) {
	lessonOf := func(i int) Lesson {
		l := Lesson{ID: fmt.Sprintf("ID-%d", i), IP: fmt.Sprintf("192.0.2.%d", i%256)}
		for d := range i % 3 {
			l.Domains = append(l.Domains, fmt.Sprintf("d%d.m%d.example", d, i))
		}
		return l
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var r recent
	const all = 2*maxRecent + 77
	for i := range all {
		r.add(lessonOf(i))
		if i == 0 {
			r.teach(Lesson{ID: lessonOf(i).ID}, unwanted, false)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 3<<20 {
		t.Errorf("%d messages hold %d bytes", maxRecent, more)
	}
	for _, i := range []int{all - 1, all - 2, all - 77, all - 78, all - 300, all - maxRecent/2, all - maxRecent} {
		got, former, _ := r.teach(Lesson{ID: fmt.Sprintf("id-%d", i)}, wanted, false)
		if want := lessonOf(i); !reflect.DeepEqual(got, want) || former != untaught {
			t.Errorf("of message %d %+v with verdict %d, want %+v with none", i, got, former, want)
		}
		if _, former, _ := r.teach(Lesson{ID: fmt.Sprintf("ID-%d", i)}, unwanted, false); former != wanted {
			t.Errorf("message %d was taught, but is remembered as %d", i, former)
		}
	}
	for _, i := range []int{0, 1, maxRecent / 2} {
		told := Lesson{ID: fmt.Sprintf("ID-%d", i)}
		if got, former, _ := r.teach(told, wanted, false); !reflect.DeepEqual(got, told) || former != untaught {
			t.Errorf("of message %d, long ago, %+v with verdict %d", i, got, former)
		}
	}
}

// BenchmarkRecent is one message remembered, and an id looked for.
func BenchmarkRecent(b *testing.B) {
	var r recent
	l := Lesson{ID: "7K3Q-9MXA", IP: "192.0.2.1", Domains: []string{"example.org", "news.example.org"}}
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.add(l)
		}
	})
	b.Run("teach", func(b *testing.B) {
		for b.Loop() {
			r.teach(Lesson{ID: "none"}, wanted, false)
		}
	})
}

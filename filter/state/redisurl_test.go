package state

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRedisURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost", "http://h", "unix:///s", "redis://", "redis://:s3cret#x@h", "redis://:s3cret/x@h:1", "redis://:s3cret?x@h", "redis://u:s3cret%zz@h",
		"redis://u:s3cret x@h:y", "redis://:s3cret@h/x", "redis://:s3cret@h/-1", "redis://:s3cret@h/1/2", "redis://:s3cret@h?read_timeout=9s", "redis://u:12#s3cret@h",
	} {
		_, err := OpenRedis(RedisConfig{URL: url, Local: NewEmbedded(1, time.Now()), Now: time.Now, Log: (&logBuffer{}).logger()})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	opt, err := parseURL("rediss://user:p%23%2F%40%3Aw@[::1]:7000/3")
	if err != nil || opt.Username != "user" || opt.Password != "p#/@:w" || opt.Addr != "[::1]:7000" || opt.DB != 3 || opt.TLSConfig == nil {
		t.Errorf("%+v, %v", opt, err)
	}
	if _, err := OpenRedis(RedisConfig{URL: "redis://h"}); err == nil {
		t.Error("no local memory is needed")
	}
}

func TestRedisTell(t *testing.T) {
	r := &Redis{secret: "s3cret"}
	for _, text := range []string{
		"ERR unknown command 'HELLO', with args beginning with: '2' 'auth' 'default' 's3cr", "ERR s3cret is not it", strings.Repeat("x", 1000),
	} {
		if got := r.tell(fmt.Errorf("%s", text)); strings.Contains(got, "s3cr") || len(got) > maxTold {
			t.Errorf("%q", got)
		}
	}
}

func BenchmarkRedisDo(b *testing.B) {
	server := startRedis(b)
	for _, n := range []int{1, 5} {
		b.Run(fmt.Sprintf("%dsteps", n), func(b *testing.B) {
			r := openTest(b, RedisConfig{URL: server.url()}, calm)
			steps := make([]Step, n)
			for i := range steps {
				steps[i] = Step{Op: Leak, Table: "bench", Key: fmt.Sprint(i), N: 1, Rate: 100, Burst: 10}
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Do(context.Background(), time.Time{}, steps, nil)
			}
			if r.Status() != "" {
				b.Error(r.Status())
			}
		})
	}
}

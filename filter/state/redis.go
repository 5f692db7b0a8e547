package state

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is a store that several machines share: a Redis 5 or later, or a Valkey. Where it is away this machine goes on from its own memory.
//
// What was counted meanwhile is not copied there when it is back, nor what Redis held copied here when it goes: nobody could say which of
// the two is right. So n machines without their Redis may let through up to n times the rate, and up to n times the burst each time it
// goes. A step whose answer came too late may be counted in both.
type Redis struct {
	client *redis.Client
	local  *Embedded
	now    func() time.Time
	log    *slog.Logger
	where  string // host:port
	secret string // the password: it must not be told
	bound  time.Duration

	away atomic.Bool // no step asks Redis; written under mu

	mu     sync.Mutex
	born   time.Time // zero until Redis said it
	wrong  string    // why it is away
	since  time.Time // when it went away, or came back
	pause  time.Duration
	timer  *time.Timer // the next trial
	closed bool
}

// RedisConfig says which Redis, and what else it needs.
type RedisConfig struct {
	URL   string           // redis://user:password@host:port/db, or rediss:// for TLS
	TLS   *tls.Config      // with rediss://: the authorities to trust, a certificate of our own; nil for the system's
	Local *Embedded        // used while Redis is away, and closed with it
	Now   func() time.Time // for messages about being away; Redis counts by its own clock
	Log   *slog.Logger
}

// Times. A pause is how long Redis is left alone before the next trial.
const (
	doBound      = 50 * time.Millisecond // one Do, all in all
	trialBound   = time.Second           // one trial; no message waits for it
	entriesBound = 2 * time.Second
	leastPause   = 500 * time.Millisecond
	mostPause    = 5 * time.Second
	bornEach     = time.Minute // how often Redis is asked when its memory began: it may have been emptied
)

// quiet makes the library not write to standard error: what is wrong is in the errors it returns.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// OpenRedis gives a store in Redis. It does not wait for it. The error says what is wrong with the configuration.
func OpenRedis(cfg RedisConfig) (*Redis, error) {
	return openRedis(cfg, doBound)
}

func openRedis(cfg RedisConfig, bound time.Duration) (*Redis, error) {
	if cfg.Local == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("a Redis store needs a local memory, a clock and a log")
	}
	opt, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if opt.TLSConfig != nil && cfg.TLS != nil {
		name := opt.TLSConfig.ServerName
		opt.TLSConfig = cfg.TLS.Clone()
		if opt.TLSConfig.ServerName == "" {
			opt.TLSConfig.ServerName = name
		}
	}
	quiet()
	// Every wait is bounded by the context; the library's own defaults wait for seconds. It dials beside the request that needs the
	// connection: one that is ready too late serves the next.
	opt.ContextTimeoutEnabled = true
	opt.MaxRetries = -1
	opt.DialTimeout, opt.DialerRetries = trialBound, 1
	opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = bound, bound, bound
	opt.PoolSize, opt.PipelinePoolSize = 64, -1
	opt.ConnMaxIdleTime = 5 * time.Minute
	opt.DisableIdentity = true
	opt.Dialer = guarded(opt)
	opt.Protocol = 2
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	r := &Redis{
		client: redis.NewClient(opt), local: cfg.Local, now: cfg.Now, log: cfg.Log,
		where: opt.Addr, secret: opt.Password, bound: bound, pause: leastPause,
	}
	r.mu.Lock()
	r.timer = time.AfterFunc(0, r.try)
	r.mu.Unlock()
	return r, nil
}

// errURL quotes nothing: any part of a wrong address may be a part of the password.
var errURL = errors.New("the address of Redis is wrong: write redis://user:password@host:6379/0, or rediss:// for TLS, and in the " +
	"password %23 for #, %25 for %, %2F for /, %3A for :, %3F for ?, %40 for @")

func parseURL(text string) (*redis.Options, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errURL
	}
	opt, err := redis.ParseURL(text)
	if err != nil || opt.DB < 0 {
		return nil, errURL
	}
	return opt, nil
}

// Do implements Store.
func (r *Redis) Do(ctx context.Context, now time.Time, steps []Step, out []Result) []Result {
	if len(steps) == 0 || r.away.Load() || ctx.Err() != nil {
		return r.local.Do(ctx, now, steps, out)
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, r.bound)
	defer cancel()
	results, missing, err := r.ask(bounded, steps)
	for i := range steps {
		// A session that began, or a limit that tripped, while Redis was away stands in the local memory too.
		if op := steps[i].Op; (op == Leave || op == Clear) && !slices.Contains(missing, i) {
			r.local.do(now, &steps[i])
		}
	}
	if err == nil {
		return append(out, results...)
	}
	// That who asks gave up at once says nothing about Redis.
	if ctx.Err() == nil || time.Since(began) >= r.bound/2 {
		r.failed(err, false)
	}
	rest := make([]Step, len(missing))
	for i, at := range missing {
		rest[i] = steps[at]
	}
	for i, result := range r.local.Do(ctx, now, rest, nil) {
		results[missing[i]] = result
	}
	return append(out, results...)
}

// Born implements Store: when what is in Redis began. As long as it never answered, when the local memory began.
func (r *Redis) Born() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.born.IsZero() {
		return r.local.Born()
	}
	return r.born
}

// Status implements Store.
func (r *Redis) Status() string {
	var words []string
	r.mu.Lock()
	if r.away.Load() && !r.closed {
		words = append(words, fmt.Sprintf("Redis at %s is away since %s (%s): this machine counts from its own memory", r.where, r.since.UTC().Format(time.RFC3339), r.wrong))
	}
	r.mu.Unlock()
	if status := r.local.Status(); status != "" {
		words = append(words, status)
	}
	return strings.Join(words, "; ")
}

// Close implements Store. The local memory is closed too.
func (r *Redis) Close() error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.away.Store(true)
	r.timer.Stop()
	r.mu.Unlock()
	if again {
		return nil
	}
	return errors.Join(r.client.Close(), r.local.Close())
}

// try asks Redis when its memory began: while it is away that is the trial that ends it.
func (r *Redis) try() {
	ctx, cancel := context.WithTimeout(context.Background(), trialBound)
	defer cancel()
	born, err := r.askBorn(ctx)
	if err != nil {
		r.failed(err, true)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.born = born
	if r.away.Load() {
		r.log.Info("Redis is back; what was counted meanwhile stays with this machine", "redis", r.where, "away", r.now().Sub(r.since).Round(time.Millisecond).String())
		r.since = r.now()
		r.away.Store(false)
	}
	r.timer.Reset(bornEach)
}

// failed notes that Redis did not answer, or not as it should. The first pause is short, unless it had come back only just now.
func (r *Redis) failed(err error, trial bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	already := r.away.Load()
	if r.closed || already && !trial {
		return
	}
	r.wrong = r.tell(err)
	now := r.now()
	if !already && now.Sub(r.since) > 2*mostPause {
		r.pause = leastPause
	}
	r.timer.Reset(r.pause)
	r.pause = min(2*r.pause, mostPause)
	if already {
		return
	}
	r.since = now
	r.away.Store(true)
	r.log.Error("Redis is away; this machine counts from its own memory: several machines together may let through several times a limit",
		"redis", r.where, "error", r.wrong)
}

// maxTold bounds an error in the log.
const maxTold = 300

// tell gives the words of an error without the password: a server repeats the words of a command it does not know.
func (r *Redis) tell(err error) string {
	text, _, _ := strings.Cut(err.Error(), ", with args beginning")
	if r.secret != "" {
		text = strings.ReplaceAll(text, r.secret, "(password)")
	}
	return text[:min(len(text), maxTold)]
}

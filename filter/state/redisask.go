package state

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed redis.lua
var scriptText string

// scriptHash is how the server calls the script once it knows it.
var scriptHash = redis.NewScript(scriptText).Hash()

// redisPrefix begins every key; what is between braces decides the slot in a cluster.
const (
	redisPrefix = "gatepost:{"
	bornKey     = redisPrefix + "meta:born}"
)

// redisTable writes a table's name so that its end can be told, and so that none is the table of bornKey.
func redisTable(table string) string {
	table = strings.NewReplacer("%", "%25", ":", "%3A").Replace(table)
	if table == "meta" {
		return "%6Deta"
	}
	return table
}

func redisKey(table, key string) string {
	return redisPrefix + redisTable(table) + ":" + cut(key) + "}"
}

// call is one run of the script.
type call struct {
	key  string
	args []any
}

func (s *Step) call() call {
	c := call{key: redisKey(s.Table, s.Key)}
	switch s.Op {
	case Leak:
		c.args = []any{"leak", number(s.N), number(s.Rate), number(s.Burst), s.Latch}
	case Weigh:
		c.args = []any{"weigh", number(s.A), number(s.B), s.HalfLife.Microseconds()}
	case Touch:
		c.args = []any{"touch", s.Keep.Microseconds()}
	case Enter, Renew: // who enters again renews
		c.args = []any{"enter", "s" + cut(s.Session), s.Keep.Microseconds()}
	case Leave:
		c.args = []any{"leave", "s" + cut(s.Session)}
	case Clear:
		c.args = []any{"clear"}
	default:
		c.args = []any{"read"}
	}
	return c
}

// number writes a number so that nothing of it is lost.
func number(x float64) string { return strconv.FormatFloat(x, 'g', 17, 64) }

// run sends calls in one round trip and gives what each answered: a string or an error. A server that does not know the script yet, new
// or restarted, needs a second one.
func run(ctx context.Context, client *redis.Client, calls []call) []*redis.Cmd {
	out := make([]*redis.Cmd, len(calls))
	pipe := client.Pipeline()
	for i, c := range calls {
		out[i] = pipe.EvalSha(ctx, scriptHash, []string{c.key}, c.args...)
	}
	send(ctx, pipe, out)
	pipe = client.Pipeline()
	for i, c := range calls {
		if redis.HasErrorPrefix(out[i].Err(), "NOSCRIPT") {
			out[i] = pipe.Eval(ctx, scriptText, []string{c.key}, c.args...)
		}
	}
	if pipe.Len() > 0 {
		send(ctx, pipe, out)
	}
	return out
}

// send runs a pipeline and gives every command its answer or an error. go-redis 9.23 leaves both out when the connection could not be set up because the
// server refused the password: the script never answers nothing.
func send(ctx context.Context, pipe redis.Pipeliner, out []*redis.Cmd) {
	_, err := pipe.Exec(ctx)
	for _, answer := range out {
		if answer.Err() == nil && answer.Val() == nil {
			answer.SetErr(err)
		}
	}
}

// ask carries out steps in Redis. With an error it says which of them have no result.
func (r *Redis) ask(ctx context.Context, steps []Step) ([]Result, []int, error) {
	calls := make([]call, len(steps))
	for i := range steps {
		calls[i] = steps[i].call()
	}
	var missing []int
	var wrong error
	out := make([]Result, len(steps))
	for i, answer := range run(ctx, r.client, calls) {
		var err error
		if out[i], err = parseAnswer(answer); err != nil {
			missing, wrong = append(missing, i), err
		}
	}
	return out, missing, wrong
}

// askBorn asks when the memory in Redis began.
func (r *Redis) askBorn(ctx context.Context) (time.Time, error) {
	text, err := run(ctx, r.client.WithTimeout(trialBound), []call{{bornKey, []any{"born"}}})[0].Text()
	if err != nil {
		return time.Time{}, err
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s holds no time", bornKey)
	}
	return time.UnixMicro(at), nil
}

// cellWords is the number of words of a cell in an answer; an answer has "found", "over", two cells and the time.
const cellWords = 6

func parseAnswer(answer *redis.Cmd) (Result, error) {
	text, err := answer.Text()
	if err != nil {
		return Result{}, err
	}
	words := strings.Fields(text)
	if len(words) != 2+2*cellWords+1 {
		return Result{}, fmt.Errorf("the script answered %d words", len(words))
	}
	before, err1 := parseCell(words[2:])
	after, err2 := parseCell(words[2+cellWords:])
	at, err3 := parseInstant(words[2+2*cellWords])
	return Result{Found: words[0] == "1", Over: words[1] == "1", Before: before, Cell: after, At: at}, errors.Join(err1, err2, err3)
}

// parseInstant reads microseconds; 0 is no time.
func parseInstant(word string) (time.Time, error) {
	x, err := strconv.ParseInt(word, 10, 64)
	if err != nil || x == 0 {
		return time.Time{}, err
	}
	return time.UnixMicro(x), nil
}

func parseCell(words []string) (Cell, error) {
	var wrong error
	decimal := func(word string) float64 {
		x, err := strconv.ParseFloat(word, 64)
		wrong = errors.Join(wrong, err)
		return x
	}
	instant := func(word string) time.Time {
		x, err := parseInstant(word)
		wrong = errors.Join(wrong, err)
		return x
	}
	return Cell{
		A: decimal(words[0]), B: decimal(words[1]),
		At: instant(words[2]), First: instant(words[3]), Until: instant(words[4]), Mark: words[5] == "1",
	}, wrong
}

// ErrPart is the error of Entries together with what it found, when Redis holds more keys than it looks at.
var ErrPart = errors.New("redis holds many keys; only a part of them was looked at")

// What one call of Entries looks at: so many rounds of so many keys of any table.
const (
	scanRounds = 10
	scanKeys   = 1000
)

// Entries implements Store: the largest A first. Redis finds keys by looking at all; see ErrPart.
func (r *Redis) Entries(ctx context.Context, now time.Time, table, prefix string, most int) ([]Entry, error) {
	if r.away.Load() {
		return r.local.Entries(ctx, now, table, prefix, most)
	}
	ctx, cancel := context.WithTimeout(ctx, entriesBound)
	defer cancel()
	client := r.client.WithTimeout(entriesBound)
	begin := redisPrefix + redisTable(table) + ":"
	var out []Entry
	var part error
	seen := map[string]bool{} // a scan may give a key twice
	var cursor uint64
	for round := 0; ; round++ {
		keys, next, err := client.Scan(ctx, cursor, globEscape(begin+prefix)+"*}", scanKeys).Result()
		if err != nil {
			return nil, errors.New("redis: " + r.tell(err))
		}
		var steps []Step
		for _, key := range keys {
			if !seen[key] {
				seen[key] = true
				steps = append(steps, Step{Table: table, Key: strings.TrimSuffix(strings.TrimPrefix(key, begin), "}")})
			}
		}
		if out, err = readEntries(ctx, client, steps, out); err != nil {
			return nil, errors.New("redis: " + r.tell(err))
		}
		if cursor = next; cursor == 0 {
			break
		}
		if round+1 == scanRounds {
			part = ErrPart
			break
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Cell.A != out[j].Cell.A {
			return out[i].Cell.A > out[j].Cell.A
		}
		return out[i].Key < out[j].Key
	})
	return out[:min(len(out), most)], part
}

// readEntries reads cells and appends those that are there.
func readEntries(ctx context.Context, client *redis.Client, steps []Step, out []Entry) ([]Entry, error) {
	if len(steps) == 0 {
		return out, nil
	}
	calls := make([]call, len(steps))
	for i := range steps {
		calls[i] = steps[i].call()
	}
	for i, answer := range run(ctx, client, calls) {
		result, err := parseAnswer(answer)
		if err != nil {
			return nil, err
		}
		if result.Found {
			out = append(out, Entry{steps[i].Key, result.Cell})
		}
	}
	return out, nil
}

// globEscape writes a text so that a pattern of Redis matches it and nothing else.
func globEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

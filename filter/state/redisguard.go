package state

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// The library takes as much memory as an answer says that it is long, before the first byte of it has come, and follows arrays within arrays as deep as they
// go: one line of whoever stands in the place of Redis would end the daemon. What answers of ours never are is an error here.
const (
	maxAnswer   = 64 << 10      // bytes of one text or line; an answer of the script has some hundred
	maxWhole    = 4 << 20       // bytes of a whole answer; one of a scan has the names of scanKeys cells
	maxElements = 20 * scanKeys // that are still to come; a scan gives somewhat more keys than it is asked for
	maxArrays   = 1000          // of one answer, within one another or not; a scan has two, the greeting some more
)

var errAnswer = errors.New("the server sends what is no answer of a Redis to this program")

// guarded gives what dials as the library does, and looks at what comes.
func guarded(opt *redis.Options) func(context.Context, string, string) (net.Conn, error) {
	dial := redis.NewDialer(opt)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		g := &guardedConn{Conn: conn}
		if socket, ok := conn.(syscall.Conn); ok {
			return guardedSocket{g, socket}, nil
		}
		return g, nil
	}
}

// guardedConn is a connection whose answers are looked at as they come.
type guardedConn struct {
	net.Conn
	form answerForm
}

// guardedSocket is one that the library can ask whether the server has hung up.
type guardedSocket struct {
	*guardedConn
	syscall.Conn
}

// Read implements net.Conn.
func (g *guardedConn) Read(to []byte) (int, error) {
	n, err := g.Conn.Read(to)
	if !g.form.takes(to[:n]) {
		return 0, errAnswer
	}
	return n, err
}

// NetConn gives what is looked at, as the library asks of a connection that stands around another.
func (g *guardedConn) NetConn() net.Conn { return g.Conn }

// answerForm follows the form of answers (redis.io/docs/latest/develop/reference/protocol-spec, RESP2). The zero answerForm stands before the first.
type answerForm struct {
	kind   byte // with which the line began, 0 before it
	length int  // of the line so far
	size   int  // that the line says, of $ and *
	none   bool // $-1: there is no text
	text   int  // bytes of a text that follow, with the end of its line
	arrays int  // of the answer so far
	more   int  // elements of them that are still to come
	whole  int  // bytes of the answer so far
}

// takes goes on with what came, and reports false when it is of no form that is waited for.
func (f *answerForm) takes(came []byte) bool {
	for len(came) > 0 {
		if f.text > 0 {
			n := min(f.text, len(came))
			f.text, f.whole, came = f.text-n, f.whole+n, came[n:]
			f.end()
			continue
		}
		if !f.step(came[0]) {
			return false
		}
		came = came[1:]
	}
	return true
}

// step goes on with one byte of a line.
func (f *answerForm) step(b byte) bool {
	f.whole++
	counts := f.kind == '$' || f.kind == '*'
	switch {
	case f.kind == 0:
		f.kind = b
		f.more = max(0, f.more-1)
		if b == '*' {
			f.arrays++
		}
		return strings.IndexByte("+-:$*", b) >= 0 && f.arrays <= maxArrays
	case b == '\n':
		f.endLine()
	case counts && b >= '0' && b <= '9':
		f.size = 10*f.size + int(b-'0')
		return f.size <= maxAnswer && (f.kind == '$' || f.more+f.size <= maxElements)
	case counts && b == '-':
		f.none = true
	case counts:
		return b == '\r'
	default:
		f.length++
	}
	return f.length <= maxAnswer && f.whole <= maxWhole
}

// endLine ends a line: a text may follow, or elements.
func (f *answerForm) endLine() {
	switch {
	case f.none:
	case f.kind == '$':
		f.text = f.size + len("\r\n")
	case f.kind == '*':
		f.more += f.size
	}
	f.kind, f.length, f.size, f.none = 0, 0, 0, false
	f.end()
}

// end begins anew where an answer is whole.
func (f *answerForm) end() {
	if f.text == 0 && f.more == 0 {
		*f = answerForm{}
	}
}

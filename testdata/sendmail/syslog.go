package sendmail

import (
	"net"
	"strings"
	"sync"
)

// sysLog is the socket /dev/log of a tree.
type sysLog struct {
	conn  *net.UnixConn
	ended sync.WaitGroup
	mu    sync.Mutex
	lines strings.Builder
}

func listenSysLog(path string) (*sysLog, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	l := &sysLog{conn: conn}
	l.ended.Go(l.read)
	return l, nil
}

func (l *sysLog) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.conn.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.lines.Write(buffer[:n])
		l.lines.WriteByte('\n')
		l.mu.Unlock()
	}
}

func (l *sysLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *sysLog) close() {
	l.conn.Close()
	l.ended.Wait()
}

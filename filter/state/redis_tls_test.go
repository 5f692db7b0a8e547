package state

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRedisTLS has a server with a certificate made for the test: it is used when its authority is given, and refused without.
func TestRedisTLS(t *testing.T) {
	roots, dir := makeCertificate(t)
	server := startRedis(t)
	port := freePort(t)
	args := []string{
		"--tls-port", strconv.Itoa(port), "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", filepath.Join(dir, "cert.pem"), "--tls-auth-clients", "no",
	}
	if out, err := exec.Command("redis-server", "--tls-port", "0", "--port", "x").CombinedOutput(); err == nil || strings.Contains(string(out), "tls-port") {
		t.Skip("this redis-server has no TLS")
	}
	server.kill()
	server.args = args
	server.start()
	url := "rediss://127.0.0.1:" + strconv.Itoa(port)
	touch := Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}
	trusting := openTest(t, RedisConfig{URL: url, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, calm)
	if result := do1(trusting, touch); result.Found || result.Cell.A != 1 || trusting.Status() != "" {
		t.Errorf("%+v, %q", result, trusting.Status())
	}
	if v := server.do("EXISTS", redisKey("t", "k")); v != "1" {
		t.Error("it did not come to Redis")
	}
	awayWith(t, openTest(t, RedisConfig{URL: url}, doBound), "x509")
}

// makeCertificate writes a certificate for 127.0.0.1 and its key into a folder.
func makeCertificate(t *testing.T) (*x509.CertPool, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, roots := t.TempDir(), x509.NewCertPool()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(certPEM)
	for name, content := range map[string][]byte{"cert.pem": certPEM, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return roots, dir
}

// TestRedisAnswers has servers that give one answer to everything.
func TestRedisAnswers(t *testing.T) {
	const secret = "s3cret-Pa55"
	for _, c := range []struct{ answer, word string }{
		{"-LOADING Redis is loading the dataset in memory\r\n", "LOADING"},
		{"-ERR unknown command 'x', with args beginning with: '" + secret + "'\r\n", "unknown command"},
		{"-ERR the password " + secret + " is odd\r\n", "(password)"},
		{"-MOVED 1 127.0.0.1:1\r\n", "MOVED"},
		{"+OK\r\n", "parse"},
		{"%0\r\n", ""},
		{"$3\r\n1 0\r\n", "parse"},
		{"$-1\r\n", "nil"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", ""},
		{"\r\n", ""},
		{"$99999999999\r\n", ""},
		{"", "EOF"},
	} {
		var log logBuffer
		r := openTest(t, RedisConfig{URL: "redis://:" + secret + "@" + answering(t, c.answer), Log: log.logger()}, doBound)
		awayWith(t, r, c.word)
		if result := do1(r, Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}); result.Cell.A < 1 || r.Status() == "" {
			t.Errorf("%q: %+v", c.answer, result)
		}
		if said := log.String() + r.Status(); strings.Contains(said, secret) {
			t.Errorf("%q: %s", c.answer, said)
		}
	}
}

// answering is a server that gives one answer to every command; with none it closes the connection.
func answering(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(conn, answer)
		}
	}()
	return l.Addr().String()
}

func answerAll(conn net.Conn, answer string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		head, err := in.ReadString('\n')
		if err != nil || answer == "" {
			return
		}
		words, _ := strconv.Atoi(strings.Trim(head, "*\r\n"))
		for range words {
			length, _ := in.ReadString('\n')
			n, _ := strconv.Atoi(strings.Trim(length, "$\r\n"))
			if _, err := io.CopyN(io.Discard, in, int64(n)+2); err != nil {
				return
			}
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

package milter

import (
	"fmt"
	"strconv"
	"strings"
)

// Response answers one event. The zero value is Continue.
type Response struct {
	verb verb
	code int    // SMTP code, of a reply
	text string // enhanced code and lines joined by LF, of a reply
}

type verb uint8

const (
	goOn verb = iota
	accept
	discard
	reply
)

// Continue goes on with the session.
func Continue() Response { return Response{} }

// Accept ends the judging: at connect and HELO of the whole SMTP session, at MAIL and later of this message. The MTA then sends no more of
// it. At the end of the message it is the same as Continue.
func Accept() Response { return Response{verb: accept} }

// Discard makes the MTA say that it took the message, and drop it; also at RCPT that is the message for all recipients. Postfix
// ignores it at connect and HELO.
func Discard() Response { return Response{verb: discard} }

// Bounds of a reply's text. RFC 5321 4.5.3.1.5: a reply line has at most 512 octets with its code and CRLF.
const (
	maxReplyLine  = 512 - len("550 ") - len("5.123.123 ") - len("\r\n")
	maxReplyLines = 20
)

// Reply gives the client an SMTP reply: a code from 400 to 599, an enhanced code of the same class (RFC 3463) and lines of text.
// At RCPT it answers this recipient, else the session or message; 421 makes the MTA hang up.
// It never fails: the text should have been checked, but what is not printable ASCII becomes "?", what is too long is cut, a code out of
// range becomes 451, and an enhanced code that is none or of another class becomes X.0.0.
func Reply(code int, enhanced string, lines ...string) Response {
	if code < 400 || code > 599 {
		code = 451
	}
	if class := fmt.Sprintf("%d.", code/100); !isEnhanced(enhanced) || !strings.HasPrefix(enhanced, class) {
		enhanced = class + "0.0"
	}
	if len(lines) > maxReplyLines {
		lines = lines[:maxReplyLines]
	}
	clean := make([]string, 0, len(lines))
	for _, line := range lines {
		clean = append(clean, printable(line, maxReplyLine))
	}
	return Response{verb: reply, code: code, text: enhanced + " " + strings.TrimRight(strings.Join(clean, "\n"), "\n")}
}

// String gives the response as the SMTP client sees it, without line numbering.
func (r Response) String() string {
	switch r.verb {
	case accept:
		return "accept"
	case discard:
		return "discard"
	case reply:
		return fmt.Sprintf("%d %s", r.code, r.text)
	}
	return "continue"
}

// isEnhanced reports whether text is an enhanced status code (RFC 3463 2): class, subject and detail, the latter up to 999 without
// leading zeros.
func isEnhanced(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" || len(p) > 1 && p[0] == '0' {
			return false
		}
	}
	return true
}

// printable gives text as printable ASCII of at most max bytes.
func printable(text string, max int) string {
	if len(text) > max {
		text = text[:max]
	}
	clean := []byte(text)
	for i, c := range clean {
		if c < ' ' || c > '~' {
			clean[i] = '?'
		}
	}
	return string(clean)
}

// put writes the response as a frame. The enhanced code stands on each line of a reply (RFC 2034 4), and % is doubled as the protocol asks.
func (r Response) put(c *conn) {
	switch r.verb {
	case accept:
		c.put(codeAccept)
	case discard:
		c.put(codeDiscard)
	case reply:
		start := c.begin(codeReply)
		c.out = append(r.appendLines(c.out), 0)
		c.end(start)
	default:
		c.put(codeContinue)
	}
}

func (r Response) appendLines(out []byte) []byte {
	enhanced, text, _ := strings.Cut(r.text, " ")
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		out = strconv.AppendInt(out, int64(r.code), 10)
		if more {
			out = append(out, '-')
		} else {
			out = append(out, ' ')
		}
		out = append(append(out, enhanced...), ' ')
		out = append(out, strings.ReplaceAll(line, "%", "%%")...)
		if more {
			out = append(out, '\r', '\n')
		}
	}
	return out
}

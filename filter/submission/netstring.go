package submission

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// netstring writes a text as a netstring: its length, ":", the text, ",".
func netstring(text string) string { return strconv.Itoa(len(text)) + ":" + text + "," }

// errNetstring is what everything that is no netstring leads to.
var errNetstring = errors.New("the reply is no netstring of a bearable length")

// readNetstring reads a netstring of at most so many bytes. It takes memory only for a length that is within them.
func readNetstring(r *bufio.Reader, most int) (string, error) {
	length, err := readLength(r, most)
	if err != nil {
		return "", err
	}
	text := make([]byte, length+1)
	if _, err := io.ReadFull(r, text); err != nil {
		return "", err
	}
	if text[length] != ',' {
		return "", fmt.Errorf("%w: no comma at its end", errNetstring)
	}
	return string(text[:length]), nil
}

// readLength reads a number and the colon after it. "Leading zeros are not allowed", and no sign.
func readLength(r *bufio.Reader, most int) (int, error) {
	length := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c == ':' && digits > 0:
			return length, nil
		case c < '0' || c > '9' || digits > 0 && length == 0:
			return 0, fmt.Errorf("%w: %q in its length", errNetstring, c)
		}
		if length = 10*length + int(c-'0'); length > most {
			return 0, fmt.Errorf("%w: longer than %d bytes", errNetstring, most)
		}
	}
}

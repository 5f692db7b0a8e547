package policyfile

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseLong reads a time as time.ParseDuration does, and whole days: "14d".
func ParseLong(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no number of days", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

// long reads a time that may be days, between two bounds.
func long(into *time.Duration, least, most time.Duration) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if !ok {
			d.wrong(path, "it is %s; write a time such as \"14d\"", describe(value))
			return
		}
		t, err := ParseLong(v)
		switch {
		case err != nil:
			d.wrong(path, "%q is no time; write a number with s, m, h or d, such as \"14d\"", v)
		case t < least || t > most:
			d.wrong(path, "%s is out of range; write a time from %s to %s", v, shown(least), shown(most))
		default:
			*into = t
		}
	}
}

// shown writes a time as the file does.
func shown(t time.Duration) string {
	if day := 24 * time.Hour; t >= day && t%day == 0 {
		return strconv.Itoa(int(t/day)) + "d"
	}
	return strings.TrimSuffix(strings.TrimSuffix(t.String(), "0s"), "0m")
}

// share reads a number between two bounds, whole or not.
func share(into *float64, least, most float64) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(float64)
		if n, whole := value.(int64); whole {
			v, ok = float64(n), true
		}
		switch {
		case !ok:
			d.wrong(path, "it is %s; write a number without quotes", describe(value))
		case !(v >= least && v <= most):
			d.wrong(path, "%v is out of range; write a number from %v to %v", v, least, most)
		default:
			*into = v
		}
	}
}

// bytes reads an amount such as "2GB", between two bounds.
func bytes(into *int, least, most int) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if !ok {
			d.wrong(path, "it is %s; write an amount such as \"2GB\"", describe(value))
			return
		}
		n, err := parseBytes(v)
		switch {
		case err != nil:
			d.wrong(path, "%v", err)
		case n < least || n > most:
			d.wrong(path, "%s is out of range; write an amount from %dMB to %dGB", v, least/1_000_000, most/1_000_000_000)
		default:
			*into = n
		}
	}
}

func parseBytes(s string) (int, error) {
	for name, size := range map[string]int{"kB": 1e3, "MB": 1e6, "GB": 1e9} {
		if amount, ok := strings.CutSuffix(s, name); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(amount), 10, 30)
			if err == nil {
				return int(n) * size, nil
			}
		}
	}
	return 0, fmt.Errorf("%q is no amount; write a whole number with kB, MB or GB, such as \"2GB\"", s)
}

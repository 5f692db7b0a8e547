package policyfile

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// flag reads true or false.
func flag(into *bool) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(bool)
		if !ok {
			d.wrong(path, "it is %s; write true or false, without quotes", describe(value))
			return
		}
		*into = v
	}
}

// number reads a whole number between two bounds.
func number(into *int, least, most int) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(int64)
		switch {
		case !ok:
			d.wrong(path, "it is %s; write a whole number without quotes", describe(value))
		case v < int64(least) || v > int64(most):
			d.wrong(path, "%d is out of range; write a number from %d to %d", v, least, most)
		default:
			*into = int(v)
		}
	}
}

// text reads a text that a check finds right.
func text(into *string, check func(string) error) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if !ok {
			d.wrong(path, "it is %s; write a text in quotes", describe(value))
			return
		}
		if err := check(v); err != nil {
			d.wrong(path, "%v", err)
			return
		}
		*into = v
	}
}

// anyText is the check that every text passes.
func anyText(string) error { return nil }

// word reads one of a few words.
func word[T ~string](into *T, words ...T) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if ok && slices.Contains(words, T(v)) {
			*into = T(v)
			return
		}
		known := make([]string, len(words))
		for i, w := range words {
			known[i] = string(w)
		}
		d.noWord(path, value, known)
	}
}

// level reads a log level.
func level(into *slog.Level) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if l, known := levels()[v]; ok && known {
			*into = l
			return
		}
		d.noWord(path, value, []string{"debug", "info", "warn", "error"})
	}
}

// noWord reports a value that is none of the words it may be.
func (d *decoder) noWord(path string, value any, known []string) {
	quoted := make([]string, len(known))
	for i, w := range known {
		quoted[i] = strconv.Quote(w)
	}
	choice := strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
	v, ok := value.(string)
	near := nearest(v, known)
	switch {
	case !ok:
		d.wrong(path, "it is %s; write %s", describe(value), choice)
	case near != "":
		d.wrong(path, "unknown word %q (did you mean %q?)", v, near)
	default:
		d.wrong(path, "unknown word %q; write %s", v, choice)
	}
}

// duration reads a time with its unit, between two bounds. A bare number has no unit and is refused: nobody knows what 3 is.
func duration(into *time.Duration, least, most time.Duration) reader {
	return func(d *decoder, path string, value any) {
		v, ok := value.(string)
		if !ok {
			if n, isInt := value.(int64); isInt {
				d.wrong(path, "%d has no unit; write \"%ds\" for seconds", n, n)
			} else {
				d.wrong(path, "it is %s; write a time such as %q", describe(value), least.String())
			}
			return
		}
		t, err := time.ParseDuration(v)
		switch {
		case err != nil && v != "" && strings.Trim(v, "0123456789") == "":
			d.wrong(path, "%q has no unit; write \"%ss\" for seconds", v, v)
		case err != nil:
			d.wrong(path, "%q is no time; write a number with ms, s, m or h, such as \"2s\"", v)
		case t < least || t > most:
			d.wrong(path, "%s is out of range; write a time from %s to %s", v, least, most)
		default:
			*into = t
		}
	}
}

// array reads an array of texts, each of which parse understands. None may be there twice.
func array[T comparable](into *[]T, emptyToo bool, parse func(string) (T, error)) reader {
	return func(d *decoder, path string, value any) {
		elements, ok := value.([]any)
		if !ok {
			d.noArray(path, value)
			return
		}
		out := make([]T, 0, len(elements))
		seen := map[T]bool{}
		for i, element := range elements {
			v, isText := element.(string)
			if !isText {
				d.wrong(item(path, i), "element %d is %s; write texts in quotes", i+1, describe(element))
				continue
			}
			one, err := parse(v)
			switch {
			case err != nil:
				d.wrong(item(path, i), "%v", err)
			case seen[one]:
				d.wrong(item(path, i), "%q is there twice; remove one of the two", v)
			default:
				seen[one] = true
				out = append(out, one)
			}
		}
		if len(elements) == 0 && !emptyToo {
			d.wrong(path, "it is empty; name at least one, or remove the key for the default")
		}
		*into = out
	}
}

// noArray reports a value that is no array.
func (d *decoder) noArray(path string, value any) {
	if v, ok := value.(string); ok {
		d.wrong(path, "it is one text; write an array: [%q]", v)
		return
	}
	d.wrong(path, "it is %s; write an array in [ ]", describe(value))
}

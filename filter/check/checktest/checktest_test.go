package checktest

import (
	"strings"
	"testing"
)

// told takes the place of a test that Linear fails.
type told struct {
	testing.TB
	failed bool
}

func (t *told) Helper() {}

func (t *told) Errorf(string, ...any) { t.failed = true }

// TestLinear: a reader whose time grows with the square of the text is found out, one that looks at each byte once is not.
func TestLinear(t *testing.T) {
	linear := &told{}
	Linear(linear, "", "ab", func(text string) { strings.Count(text, "b") })
	quadratic := &told{}
	Linear(quadratic, "", "ab", func(text string) {
		for i := range 2 * len(text) {
			strings.Count(text[i/2:], "b")
		}
	})
	if linear.failed || !quadratic.failed {
		t.Errorf("linear %v, quadratic %v", linear.failed, quadratic.failed)
	}
}

package authres

import (
	"encoding/json"
	"os"
	"testing"
)

// vectorsFile holds fields of other projects and of RFC 8601 appendix B, where the project is developed and in its CI.
const vectorsFile = "../../../shared/cases/authres/vectors.json"

// TestVectorsOfOthers reads each field and compares what it says.
func TestVectorsOfOthers(t *testing.T) {
	raw, err := os.ReadFile(vectorsFile)
	if err != nil {
		if os.Getenv("GATEPOST_CI") != "" || os.Getenv("CI") != "" {
			t.Fatalf("%v; in CI nothing may be left out", err)
		}
		t.Skipf("left out, for %s is not there", vectorsFile)
	}
	var all struct {
		Vectors []struct {
			ID, Value  string
			AuthservID *string `json:"authserv_id"` // none: the field is malformed
			Results    []struct {
				Method, Result string
				Props          map[string]string
			}
		}
	}
	if err := json.Unmarshal(raw, &all); err != nil || len(all.Vectors) == 0 {
		t.Fatalf("%v, %d vectors", err, len(all.Vectors))
	}
	for _, v := range all.Vectors {
		f, err := Parse(v.Value)
		if v.AuthservID == nil {
			if err == nil {
				t.Errorf("%s: %q was taken: %+v", v.ID, v.Value, f)
			}
			continue
		}
		if err != nil || f.ID != *v.AuthservID || len(f.Results) != len(v.Results) {
			t.Errorf("%s: %q: got %+v, %v, want %+v", v.ID, v.Value, f, err, v)
			continue
		}
		for i, want := range v.Results {
			got := f.Results[i]
			same := got.Method == want.Method && got.Value == want.Result && len(got.Props) == len(want.Props)
			for _, p := range got.Props {
				same = same && want.Props[p.Type+"."+p.Name] == p.Value
			}
			if !same {
				t.Errorf("%s: got %+v, want %+v", v.ID, got, want)
			}
		}
	}
	t.Logf("conformance: authres/vectors %d of %d", len(all.Vectors), len(all.Vectors))
}

package filter

import (
	"strings"
	"testing"

	"gatepost.example/policy/policyfile"
)

// TestKeptPolicyHasNoSecret: the key in a blocklist's zone and the password of the store never reach the history, however they are written, and
// what is kept can be compiled.
func TestKeptPolicyHasNoSecret(t *testing.T) {
	for _, text := range []string{
		"[[dnsbl]]\nname = \"bl\"\nzone = \"secretkey.bl.example\"\nquery = \"client.ip\"\nweight = { \"127.0.0.2\" = 1 }\n# zone = \"oldsecretkey.bl.example\"\n",
		"[[dnsbl]]\nname='bl'\n  zone  =  'SecretKey.bl.example'   # the secretkey.bl.example of May\nquery='client.ip'\nweight={ '127.0.0.2' = 1 }\n",
		"dnsbl = [{ name = \"bl\", zone = \"secretkey.bl.example\", query = \"client.ip\", weight = { \"127.0.0.2\" = 1 } }]\n",
		"[[dnsbl]]\nname = \"bl\"\nzone = \"key.bl.example\" # until May secretkey.bl.example\nquery = \"client.ip\"\nweight = { \"127.0.0.2\" = 1 }\n",
		"[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:6379/0\" # until May redis://user:secretkey@127.0.0.1\n",
		"[store]\nkind = \"redis\"\nurl = \"redis://user:secretkey@127.0.0.1:6379/0\"\n",
	} {
		vocabulary, err := Vocabulary()
		if err != nil {
			t.Fatal(err)
		}
		file, err := policyfile.Parse("policy.toml", []byte(text), vocabulary)
		if err != nil {
			t.Logf("%q: %v", text, err)
			continue
		}
		kept := keptPolicy(file)
		if strings.Contains(strings.ToLower(kept.Text), "secretkey") {
			t.Errorf("%q is kept as %q", text, kept.Text)
		}
		if _, err := policyfile.Parse("kept.toml", []byte(kept.Text), vocabulary); err != nil {
			t.Errorf("%q: %v", kept.Text, err)
		}
	}
}

package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/filter"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

func vocabulary(t testing.TB) *policy.Vocabulary {
	t.Helper()
	v, err := filter.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// old is what a site has configured: files below a root, and access maps beside main.cf.
type old struct {
	main  string // MAPS stands for the folder of the maps
	files map[string]string
}

// everything is an old site that uses every program whose work Gatepost takes over.
func everything() old {
	return old{
		main: "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128 192.0.2.0/24 !192.0.2.5 0.0.0.0/0\n" +
			"smtpd_milters = inet:localhost:8891 inet:localhost:8893\n" +
			"smtpd_recipient_restrictions = permit_mynetworks, check_client_access cidr:MAPS/clients, check_sender_access hash:MAPS/senders, " +
			"check_recipient_access hash:MAPS/recipients, check_helo_access pcre:MAPS/helo, check_policy_service unix:private/policyd-spf, " +
			"check_policy_service inet:127.0.0.1:10023, permit_dnswl_client list.dnswl.example=127.0.[0..255].[1..3], " +
			"reject_rbl_client secret.zen.dq.example.net=127.0.0.[2..11], warn_if_reject reject_rbl_client b.example.com, " +
			"reject_rhsbl_sender dbl.example=127.0.1.[2..99], reject_rhsbl_reverse_client dbl.example, reject_rbl_client bad.example=127.0.0.300\n",
		files: map[string]string{
			"maps/clients":              "198.51.100.7 DUNNO\n198.51.100.0/24 REJECT\n203.0.113.0/24 OK\n203.0.113.9 REJECT\n",
			"maps/senders":              "spammer@example.org REJECT\nbad.example 550 go\n\taway\nok.bad.example OK\ngood.example OK\nevil.good.example REJECT\ninfo@ REJECT\nx.example HOLD\n",
			"maps/recipients":           "closed@example.net REJECT\n",
			"etc/opendkim.conf":         "Mode sv\nInternalHosts refile:/etc/opendkim/TrustedHosts\nPeerList 198.51.100.99\n",
			"etc/opendkim/TrustedHosts": "127.0.0.1\nlocalhost\n203.0.113.64/27\nhost.example\n",
			"etc/opendmarc.conf":        "RejectFailures true\nIgnoreHosts 203.0.113.200,relay.example\nIgnoreMailFrom news.example\n",
			"etc/postfix-policyd-spf-python/policyd-spf.conf": "HELO_reject = False\nMail_From_reject = Softfail\nskip_addresses = 127.0.0.0/8,198.51.100.20\nWhitelist = 198.51.100.32/31\n",
			"etc/postgrey/whitelist_clients":                  "# big senders\nexample.com\n/^mail[0-9]+\\.example/\n192.0.2\n",
			"etc/postgrey/whitelist_recipients":               "postmaster@\nboss@example.net\n",
			"etc/default/postgrey":                            "POSTGREY_OPTS=\"--inet=10023 --delay=60\"\n",
		},
	}
}

// take writes an old site's files and imports it.
func (o old) take(t testing.TB, v *policy.Vocabulary) *Import {
	t.Helper()
	root := t.TempDir()
	for name, text := range o.files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	main := strings.ReplaceAll(o.main, "MAPS", root+"/maps")
	return FromPostfix(Sources{Postfix: mta.ParsePostfix(base+main, main, fields, options, options), Root: root, Vocabulary: v})
}

// shipped gives policy.toml.
func shipped(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../../policy.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestImport: each source becomes lines with where they come from, and what does not is named with the reason; the result is a good policy
// alone and within policy.toml.
func TestImport(t *testing.T) {
	v := vocabulary(t)
	im := everything().take(t, v)
	text := im.Text()
	for _, want := range []string{
		`"192.0.2.0/24",  # imported: mynetworks`, `"203.0.113.64/27",  # imported: opendkim.conf: InternalHosts`,
		"imported_allowed_clients = [\n  \"203.0.113.0/24\",  # clients:3: 203.0.113.0/24 OK\n  \"198.51.100.99\",  # opendkim.conf: PeerList",
		"imported_blocked_clients = [\n  \"198.51.100.0/24\",", "imported_unblocked_clients = [\n  \"198.51.100.7\",",
		"imported_first_senders = [\n  \"evil.good.example\",", "# senders:2: bad.example 550 go away",
		"\"198.51.100.20\",  # policyd-spf.conf: skip_addresses",
		"imported_blocked_recipients = [\n  \"closed@example.net\",", "imported_greylist_recipients = [\n  \"boss@example.net\",",
		"name   = \"dq.example.net\"\nzone   = \"secret.zen.dq.example.net\"\nquery  = \"client.ip\"\nweight = { \"127.0.0.[2..11]\" = 4 }",
		"weight = { \"127.0.[0..255].[1..3]\" = -100 }", "weight = { \"127.[0..255].[0..255].[0..255]\" = 1 }", "query  = \"sender.domain\"",
		`when = 'spf.result in ["fail", "softfail"] && !(client.ip in list.imported_spf_exempt)'`,
		`when = 'dmarc.result == "fail" && dmarc.policy == "reject" && !(author.domain in list.imported_dmarc_exempt)'`,
		"name = \"imported-greylist\"", "action = \"greylist\"",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no\n%s\nin\n%s", want, text)
		}
	}
	skipped := strings.Join(im.Skipped, "\n")
	for _, want := range []string{
		"!192.0.2.5 is an exception", "0.0.0.0/0 is half the Internet", "203.0.113.9 REJECT: never reached", "info@ REJECT: a local part", "x.example HOLD: for that write a rule",
		"pcre:", "reject_rhsbl_reverse_client dbl.example: a list is asked about", "reject_rbl_client bad.example=127.0.0.300: that is no zone", "host.example is no network",
		"/^mail[0-9]+\\.example/ is a regular expression", "HELO_reject = false refuses nothing", `delay = "60s" into [greylist]`,
	} {
		if !strings.Contains(skipped, want) {
			t.Errorf("%q is not named in\n%s", want, skipped)
		}
	}
	if strings.Contains(text, "127.0.0.1") {
		t.Error("an address within a network is named again")
	}
	trusted := policyfile.Default().Trust.Networks
	for name, policy := range map[string]string{"alone": text, "merged": im.Merge(shipped(t), trusted), "twice": im.Merge(im.Merge(shipped(t), trusted), trusted)} {
		file, err := policyfile.Parse("policy.toml", []byte(policy), v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, r := range file.Policy.Report() {
			if r.Dead != "" {
				t.Errorf("%s: rule %q never decides: %s", name, r.Name, r.Dead)
			}
		}
	}
	merged := im.Merge(shipped(t), nil)
	for _, pair := range [][2]string{{"imported-first-senders", "imported-allowed-senders"}, {"imported-allowed-clients", "imported-blocked-clients"},
		{"imported-blocked-senders", "blocked"}, {"blocked", "null-mx"}, {"imported-spf", "null-mx"}, {"imported-greylist", "greylist"}, {"imported-dmarc", "spoofed"}} {
		at := func(rule string) int {
			return strings.Index(strings.NewReplacer("name   =", "name =", "name  =", "name =").Replace(merged), fmt.Sprintf("name = %q", rule)) // the columns of policy.toml
		}
		if at(pair[0]) < 0 || at(pair[0]) > at(pair[1]) {
			t.Errorf("rule %s does not stand above %s", pair[0], pair[1])
		}
	}
	im.Networks = nil
	if got := Strip(im.Merge(shipped(t), nil)); got != shipped(t) {
		t.Error("what is taken out again leaves traces")
	}
}

// TestUnusedProgramsAreNotImported: a configuration that the package left behind counts only while Postfix asks its program.
func TestUnusedProgramsAreNotImported(t *testing.T) {
	o := everything()
	o.main = ""
	if text := o.take(t, vocabulary(t)).Text(); strings.Contains(text, "[list]") || strings.Contains(text, "[[") {
		t.Errorf("%s", text)
	}
}

// FuzzImport: whatever stands in the files of others, what is made of it is a good policy, and can be taken out again.
func FuzzImport(f *testing.F) {
	o := everything()
	f.Add(o.main, o.files["maps/clients"], o.files["maps/senders"], o.files["etc/opendmarc.conf"], o.files["etc/postgrey/whitelist_clients"])
	f.Add("mynetworks = [::1]/0 a/8 1.2.3/4\n", "::/0 OK\n\xff REJECT\n", "a'b\"c.example REJECT\n.. OK\n", "IgnoreHosts \"x\\\n", "1.2.3.4.5\n\n")
	none, err := policy.NewVocabulary()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, main, clients, senders, conf, hosts string) {
		o := old{main: main, files: map[string]string{
			"maps/clients": clients, "maps/senders": senders, "maps/recipients": senders, "etc/opendmarc.conf": conf, "etc/opendkim.conf": conf,
			"etc/opendkim/TrustedHosts": hosts, "etc/postgrey/whitelist_clients": hosts, "etc/postgrey/whitelist_recipients": hosts,
			"etc/postfix-policyd-spf-python/policyd-spf.conf": conf, "etc/default/postgrey": conf,
		}}
		im := o.take(t, none)
		im.Rules = nil // their text is ours, and compiling it slow
		policy := im.Merge("[trust]\nnetworks = []\n[list]\n", nil)
		if _, err := policyfile.Parse("policy.toml", []byte(policy), none); err != nil {
			t.Errorf("%v\n%s", err, policy)
		}
		if im.Networks = nil; Strip(im.Merge("[list]\n", nil)) != "[list]\n" {
			t.Errorf("what is taken out leaves traces of\n%s", policy)
		}
	})
}

package policyfile

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost.example/policy"
)

// sameSettings compares the settings of two files, not their texts and rules.
func sameSettings(t *testing.T, got *File, want File) {
	t.Helper()
	a, b := reflect.ValueOf(*got), reflect.ValueOf(want)
	for i := range a.NumField() {
		switch name := a.Type().Field(i).Name; name {
		case "Name", "Text", "Hash", "Vocabulary", "Policy", "source":
		default:
			// Printed, so that an empty slice and none are the same.
			if x, y := fmt.Sprintf("%+v", a.Field(i)), fmt.Sprintf("%+v", b.Field(i)); x != y {
				t.Errorf("%s\ngot  %s\nwant %s", name, x, y)
			}
		}
	}
}

func TestEmptyFileHasTheDefaults(t *testing.T) {
	f, err := Parse("policy.toml", nil, vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	sameSettings(t, f, Default())
	want := policy.Source{Observe: true, DelayReject: true}
	if !reflect.DeepEqual(f.Source(), want) {
		t.Errorf("source %+v, want %+v", f.Source(), want)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	text := policies(t, "good", 3)["everything.good.toml"]
	f, err := Parse("everything.good.toml", text, vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	sameSettings(t, f, File{
		Mode: Enforce, HeldBack: []string{"on-trial"},
		Listen: Listen{
			Milter:   []Endpoint{{"tcp", "[::1]:8895"}, {"tcp", "localhost:8894"}, {"unix", "/run/gatepost/milter.sock"}},
			HTTP:     "[::1]:8895",
			Sessions: 100,
		},
		Server: Server{
			Name: "mx.example.net", Directory: "/tmp/gatepost", NetworkV4: 16, NetworkV6: 48,
			Submission: Submission{Ports: []int{2525}, Names: []string{"users"}},
		},
		Trust: Trust{
			Networks: []netip.Prefix{
				netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("198.51.100.7/32"),
			},
			Relays:           []netip.Prefix{netip.MustParsePrefix("203.0.113.5/32")},
			ARCSealers:       []string{"forwarder.example", "xn--bcher-kva.example"},
			InsteadOfRefusal: InsteadHold,
		},
		DNS: DNS{
			Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")},
			Timeout: 1500 * time.Millisecond, Budget: 8 * time.Second, Cache: 5000,
		},
		Reply:      Reply{Footer: "help: https://example.net/mail/{id}"},
		Authres:    Authres{ReceivedSPF: true},
		Log:        Log{Format: LogLogfmt, Level: slog.LevelDebug},
		Alert:      Alert{To: "postmaster@example.net", Server: "127.0.0.1:2525"},
		Recipients: Recipients{Mixed: MixedMildest},
		Store:      Store{Kind: StoreRedis, URL: "rediss://user:secret@redis.example:6380/1"},
		History:    History{Keep: 14 * 24 * time.Hour, Size: 500_000_000, Addresses: AddressesHashed},
		Reputation: Reputation{
			HalfLife: 7 * 24 * time.Hour, Settle: 36 * time.Hour, Correspondent: 90 * 24 * time.Hour, Freemail: []string{"freemail.example"},
			UnknownRecipient: 1, Spam: 2.5, FromCorrespondent: 0.5, Ham: 0,
		},
		ContentFilter: ContentFilter{Header: "X-Spam-Status", Spam: "Yes,"},
		Greylist:      Greylist{Delay: 90 * time.Second, RetryWindow: 12 * time.Hour, MaxAge: 20 * 24 * time.Hour},
		Submission:    SubmissionMaps{LoginMaps: "texthash:/etc/gatepost/logins"},
		Limits: []Limit{
			{
				Name: "client_messages", Count: CountMessages, Per: []string{"client.network"},
				Rate:  [Bands]Rate{{10000, time.Hour}, {3000, time.Hour}, {600, time.Hour}, {60, time.Hour}, {10, time.Hour}},
				Burst: [Bands]float64{5000, 2000, 600, 60, 10}, Stage: policy.Connect, Scope: policy.OfMessage,
				when: `server.role == "mx" && !client.trusted`, When: f.Limits[0].When,
			},
			{Name: "open", Count: CountSessions, Per: []string{"client.ip"}, AtMost: 50, Stage: policy.Connect, Scope: policy.OfConnection},
			{
				Name: "volume", Count: CountBytes, Per: []string{"auth.user", "client.ip"}, Rate: same(Rate{200e6, 24 * time.Hour}), Burst: same(200e6),
				Latch: true, Stage: policy.Data, Scope: policy.OfMessage,
			},
		},
		DNSBL: []DNSBL{
			{Name: "zen", Zone: "key.zen.example", Query: "client.ip", URL: "https://bl.example/ip/{client.ip}", Weight: []CodeWeight{
				{codes(t, "127.0.0.2"), 4}, {codes(t, "127.0.[0..255].[1;3;4]"), -2},
			}},
			{Name: "domains", Zone: "dbl.example", Query: "dkim.domains", Test: "listed.example", Weight: []CodeWeight{{codes(t, "127.0.1.2"), 1}}},
		},
	})
	for _, table := range f.tables() {
		for _, key := range table.keys {
			if _, there := newPlaces(string(text)).at[join(table.name, key.name)]; !there {
				t.Errorf("the file sets every key but %s", join(table.name, key.name))
			}
		}
	}
}

// same gives one value for every band.
func same[T any](v T) (out [Bands]T) {
	for i := range out {
		out[i] = v
	}
	return out
}

func TestSourceIsTheFileInItsOrder(t *testing.T) {
	f, err := Parse("everything.good.toml", policies(t, "good", 3)["everything.good.toml"], vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Source{
		Mildest: true,
		Conditions: []policy.ConditionSource{
			{Path: "limit[0].when", Name: `limit "client_messages": when`, Expr: `server.role == "mx" && !client.trusted`},
		},
		Define: []policy.Definition{
			{Name: "weekend", Expr: `time.weekday in ["saturday", "sunday"]`},
			{Name: "quiet", Expr: "weekend || time.hour < 7"},
		},
		Lists: []policy.NamedList{
			// U-labels become A-labels: xn--bcher-kva is the A-label of bücher (RFC 5890 calls the pair so).
			{Name: "friends", Entries: []string{
				"Partner.example", ".partner.example", "xn--bcher-kva.example", "info@xn--bcher-kva.example", "user:a.dot", "alice", "203.0.113.0/24",
			}},
			{Name: "enemies", Entries: []string{}},
		},
		Rules: []policy.RuleSource{
			{Name: "at-night", When: "quiet && client.ip in list.enemies", Reply: "421 4.7.0 {client.ip} comes back later", AtOnce: true},
			{
				Name: "mark", When: `sender.domain in list.friends || header("List-Id").size() > 0`, Action: "tag", Observe: true,
				Header: []policy.HeaderText{{Name: "X-Two", Value: "2"}, {Name: "X-One", Value: "from {sender.domain}"}},
			},
			{Name: "on-trial", When: `dmarc.result == "fail"`, Reply: "550 5.7.1 no", Share: 1000},
		},
	}
	if !reflect.DeepEqual(f.Source(), want) {
		t.Errorf("got\n%+v\nwant\n%+v", f.Source(), want)
	}
}

func TestFormsOfTOMLMeanOneThing(t *testing.T) {
	f, err := Parse("forms.good.toml", policies(t, "good", 3)["forms.good.toml"], vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.DNS.Timeout != time.Second || f.DNS.Budget != 2*time.Second {
		t.Errorf("dns %+v", f.DNS)
	}
	want := policy.Source{
		Observe: true, DelayReject: true,
		Define: []policy.Definition{{Name: "one", Expr: "  client.trusted && client.ip == \"192.0.2.1\"\n"}},
		Lists:  []policy.NamedList{{Name: "block", Entries: []string{"192.0.2.0/24", "bad.example"}}},
		Rules: []policy.RuleSource{
			{Name: "one", When: "one", Action: "accept"},
			{Name: "two", When: "client.ip in list.block", Reply: "554 5.7.1 Refused", Observe: true},
		},
	}
	if !reflect.DeepEqual(f.Source(), want) {
		t.Errorf("got\n%+v\nwant\n%+v", f.Source(), want)
	}
}

// One key with one value, and what is said about it; "" where the value is right.
func TestValues(t *testing.T) {
	long := strings.Repeat("x", 201)
	tests := []struct{ name, text, want string }{
		{"port 0 lets the kernel choose", `listen.milter = ["inet:127.0.0.1:0"]`, ""},
		{"a port over 65535", `listen.milter = ["inet:127.0.0.1:70000"]`, `listen.milter: "70000" is no port; write a number up to 65535`},
		{"no host", `listen.milter = ["inet:a b:25"]`, `listen.milter: "a b" is neither an address nor the name of a host`},
		{"one socket twice", `listen.milter = ["unix:/a", "unix:/a"]`, `listen.milter: "unix:/a" is there twice; remove one of the two`},
		{"sun_path has 108 bytes with its NUL", `listen.milter = ["unix:/` + strings.Repeat("x", 107) + `"]`, "listen.milter: the path of a socket has at most 107 bytes, this one 108; choose a shorter one"},
		{"one byte less", `listen.milter = ["unix:/` + strings.Repeat("x", 106) + `"]`, ""},
		{"a name with a blank", `server.name = "mx one"`, `server.name: "mx one" is no name; write the name of this host, such as mx.example.net, or "" for the MTA's own`},
		{"a relative directory", `server.directory = "state"`, `server.directory: "state" is no absolute path; begin it with /`},
		{"one prefix length", `server.network = ["/24"]`, `server.network: write two prefix lengths, for IPv4 and IPv6: ["/24", "/56"]`},
		{"a prefix length without slash", `server.network = ["24", "/56"]`, `server.network: the prefix length for IPv4 is a text from "/8" to "/32"`},
		{"no submission at all", `server.submission = []`, ""},
		{"a service twice", `server.submission = ["a", "a"]`, `server.submission: "a" is there twice; remove one of the two`},
		{"a port twice", `server.submission = [25, 25]`, `server.submission: 25 is there twice; remove one of the two`},
		{"a service with a blank", `server.submission = ["a b"]`, `server.submission: "a b" is no name of a service; write what {daemon_name} says`},
		{"a service that is a truth value", `server.submission = [true]`, `server.submission: true is neither a port nor a name; write 587 or "submission"`},
		{"nobody is trusted", `trust.networks = []`, ""},
		{"v4 in v6", `trust.networks = ["::ffff:192.0.2.0/120"]`, `trust.networks: "::ffff:192.0.2.0/120" is an IPv4 network in IPv6 form; write it as IPv4`},
		{"a zone", `trust.networks = ["fe80::1%eth0"]`, `trust.networks: "fe80::1%eth0" has a zone; write the address without %eth0`},
		{"all of IPv6", `trust.networks = ["::/0"]`, `trust.networks: "::/0" trusts the whole Internet; name your own networks`},
		{"one network in two forms", `trust.networks = ["192.0.2.1", "192.0.2.1/32"]`, `trust.networks: "192.0.2.1/32" is there twice; remove one of the two`},
		{"an hour in minutes is too long", `dns.timeout = "60m"`, "dns.timeout: 60m is out of range; write a time from 100ms to 10s"},
		{"a unit of no clock", `dns.timeout = "2 s"`, `dns.timeout: "2 s" is no time; write a number with ms, s, m or h, such as "2s"`},
		{"a fraction", `dns.cache = 1000.5`, "dns.cache: it is the number 1000.5; write a whole number without quotes"},
		{"a date", `dns.cache = 2020-01-01`, "dns.cache: it is a date; write a whole number without quotes"},
		{"a footer with id", `reply.footer = "see https://example.net/{id}?x={id}"`, ""},
		{"a footer with another placeholder", `reply.footer = "{client.ip}"`, "reply.footer: the only placeholder of the footer is {id}; remove the other braces"},
		{"a footer with a brace", `reply.footer = "{"`, "reply.footer: the only placeholder of the footer is {id}; remove the other braces"},
		{"a footer of two lines", `reply.footer = "a\r\nb"`, "reply.footer: the footer has a line break, control or non-ASCII character at byte 2; write one line of plain ASCII"},
		{"a footer that leaves no room", `reply.footer = "` + long + `"`, "reply.footer: the footer has 201 bytes; at most 200 leave room for the reply"},
		{"a level in upper case", `log.level = "INFO"`, `log.level: unknown word "INFO" (did you mean "info"?)`},
		{"a section that is a number", `log = 3`, "log: it is a section, not the number 3; write [log] and its keys below"},
		{"a section that is an array", "[[log]]\nlevel = 'info'", "log: it stands once; write [log] with single brackets"},
		{"rules that are a number", `rule = 3`, "rule: it is the number 3; write [[rule]], one for each rule"},
		{"rules that are texts", `rule = ["x"]`, "rule: it is an array; write [[rule]], one for each rule"},
		{"a header that is a text", "[[rule]]\nname = 'x'\nwhen = 'true'\naction = 'tag'\nheader = 'X'", `rule "x": header: it is a text; write { "X-Spam-Flag" = "YES" }`},
		{"a rule with a number for a name", "[[rule]]\nname = 3\nwhen = 'true'\naction = 'accept'", "rule 1: name: it is the number 3; write a text in quotes"},
		{"a list that is no name", "list.No = []", `"No" is no name for a list; use lower-case letters, digits and _`},
		{"a U-label that is none", `list.a = ["a\u200b\u00df\u3002..\u2488x.example"]`, `is no domain name`},
		{"a key that nobody could guess", "quux = 1", `unknown key "quux" above the first section; this version knows mode`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f", []byte(test.text+"\n"), vocabulary(t))
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.HasSuffix(err.Error(), test.want) && !strings.Contains(err.Error(), test.want+": ") || strings.Contains(err.Error(), "\n")):
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestEndpointPrintsAsItIsWritten(t *testing.T) {
	for _, want := range []string{"inet:127.0.0.1:8894", "inet:[::1]:8894", "unix:/run/gatepost/milter.sock"} {
		e, err := endpoint(want)
		if err != nil || e.String() != want {
			t.Errorf("%s: %v, %v", want, e, err)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"timeout", "budget", "servers", "cache"}
	tests := []struct{ word, want string }{
		{"timout", "timeout"}, {"bugdet", "budget"}, {"Servers", "servers"}, {"server", "servers"}, {"cash", "cache"}, {"quux", ""},
		{"", ""}, {strings.Repeat("timeout", 1000), ""},
	}
	for _, test := range tests {
		if got := nearest(test.word, known); got != test.want {
			t.Errorf("%.20q: got %q, want %q", test.word, got, test.want)
		}
	}
}

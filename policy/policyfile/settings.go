package policyfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"gatepost.example/policy"
)

// File is a policy.toml that was read and found right: the settings, the compiled policy and the text they come from.
type File struct {
	Name string // as it was given to Load or Parse
	Text string // the file's text
	Hash string // the first 16 hexadecimal digits of the text's SHA-256: names this policy in logs and history

	Mode       Mode
	Enforced   []string // the rules that are enforced in mode observe too, because they say enforce
	HeldBack   []string // the rules that enforce keeps from acting on all: those for a share of senders, and in mode observe those that do not say it
	Listen     Listen
	Server     Server
	Trust      Trust
	DNS        DNS
	Reply      Reply
	Authres    Authres
	Log        Log
	Admin      Admin
	Alert      Alert
	Recipients Recipients

	Store         Store
	History       History
	Reputation    Reputation
	ContentFilter ContentFilter
	Greylist      Greylist
	Submission    SubmissionMaps

	DNSBL  []DNSBL // in the order of the file
	Limits []Limit // in the order of the file

	Follow  []string         // the files that lists name, and those that they may have
	Stamps  map[string]Stamp // of each of them, from before it was read
	Expires time.Time        // when the first entry of such a file is over; zero for never

	Vocabulary *policy.Vocabulary // the facts that the rules can name
	Policy     *policy.Policy     // the compiled rules
	source     policy.Source
}

// Identity names the policy with all that it is made of: its text, and what the files that its lists and pairs name had in them.
func (f *File) Identity() string {
	sum := sha256.New()
	for _, list := range f.source.Lists {
		for _, entry := range list.More {
			fmt.Fprintf(sum, "%q %q\n", list.Name, entry)
		}
	}
	for _, table := range f.source.Pairs {
		for _, pair := range table.Pairs {
			fmt.Fprintf(sum, "%q %q\n", table.Name, pair)
		}
	}
	return f.Hash + "-" + hex.EncodeToString(sum.Sum(nil)[:4])
}

// Source gives the policy as the file states it, before it was compiled.
func (f *File) Source() policy.Source { return f.source }

// Mode says whether refusals are spoken.
type Mode string

// The modes.
const (
	Observe Mode = "observe" // decide and record, refuse nothing
	Enforce Mode = "enforce" // speak what the rules decide
)

// Listen is [listen]: where the MTA finds us.
type Listen struct {
	Milter   []Endpoint // sockets of the milter protocol, at least one
	Admin    *Endpoint  // the socket of commands; nil for none
	HTTP     string     // host:port of health, metrics and page; "" for none
	Sessions int        // most sessions at a time; beyond it a connection gets 421 4.3.2
}

// Endpoint is one socket to listen on, in the words of net.Listen.
type Endpoint struct {
	Network string // "tcp" or "unix"
	Address string // "127.0.0.1:8894", or an absolute path
}

// String gives the endpoint as policy.toml writes it.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return "unix:" + e.Address
	}
	return "inet:" + e.Address
}

// Server is [server]: who we are and how we speak.
type Server struct {
	Name        string // authserv-id (RFC 8601 2.5); "" for the MTA's own name
	Directory   string // where state is kept, an absolute path
	DelayReject bool   // refusals are spoken at RCPT at the earliest
	NetworkV4   int    // prefix length of client.network for IPv4
	NetworkV6   int    // prefix length of client.network for IPv6
	Submission  Submission
}

// Submission says which of the MTA's services take mail from users: those make server.role "submission".
type Submission struct {
	Ports []int    // compared with {daemon_port}
	Names []string // compared with {daemon_name}
}

// Trust is [trust]: whom we believe.
type Trust struct {
	Networks         []netip.Prefix // whose hosts are client.trusted
	Relays           []netip.Prefix // own backup MX and front proxies: client.* is then the host that their Received field names
	ARCSealers       []string       // domains, in lower case A-labels, whose ARC seals make arc.trusted true
	InsteadOfRefusal Instead        // what becomes of a refusal of local mail
}

// Instead is what happens to mail where a refusal would bounce to somebody forged.
type Instead string

// The words of instead_of_refusal.
const (
	InsteadTag  Instead = "tag"  // take it with X-Spam-Flag
	InsteadHold Instead = "hold" // take it into the MTA's hold queue
)

// DNS is [dns]: whom we ask and how long we wait.
type DNS struct {
	Servers []netip.AddrPort // empty: those of /etc/resolv.conf
	Timeout time.Duration    // for one question
	Budget  time.Duration    // for all questions of one stage, at least Timeout
	Cache   int              // most answers kept
}

// Store is [store]: where the memory is kept.
type Store struct {
	Kind StoreKind
	URL  string // of Redis; may hold a password: never printed
}

// History is [history]: the decisions that are kept, with their evidence.
type History struct {
	Keep      time.Duration // 0 for none
	Size      int           // bytes; the oldest goes first
	Addresses Addresses
}

// Addresses is how the history knows people.
type Addresses string

// The words of addresses.
const (
	AddressesPlain  Addresses = "plain"
	AddressesHashed Addresses = "hashed" // local parts as a keyed hash
)

// StoreKind is where the memory is kept.
type StoreKind string

// The words of kind.
const (
	StoreEmbedded StoreKind = "embedded" // on this machine, in server.directory
	StoreRedis    StoreKind = "redis"    // shared by several machines
)

// Reputation is [reputation]: what is remembered of senders, for how long, and what counts.
type Reputation struct {
	HalfLife      time.Duration // after it half of the evidence is left
	Settle        time.Duration // until memory.settled
	Correspondent time.Duration // how long somebody our users wrote to is one
	Freemail      []string      // domains whose correspondents count by address only

	UnknownRecipient, Spam float64 // weights of unwanted
	FromCorrespondent, Ham float64 // weights of wanted
}

// ContentFilter is [content_filter]: the verdict of a filter before us.
type ContentFilter struct {
	Header string // the field that it writes; "" for none
	Spam   string // how its value begins for spam
}

// Greylist is [greylist].
type Greylist struct {
	Delay       time.Duration // a retry before it is put off again
	RetryWindow time.Duration // a retry after it is a first try
	MaxAge      time.Duration // how long a sender who came back is known
}

// SubmissionMaps is [submission].
type SubmissionMaps struct {
	LoginMaps string // tables that say which login owns an address; "": not asked
}

// DNSBL is one [[dnsbl]]: a blocklist or allowlist in DNS (RFC 5782).
type DNSBL struct {
	Name   string       // what people see
	Zone   string       // lower case A-labels, without a dot at the end; may hold a secret key: never printed
	Query  Query        // what the list is asked about
	URL    string       // where people read about a listing; {QUERY} stands for what was asked; "" for none
	Weight []CodeWeight // what its codes count, the first that matches
	Test   string       // the address or domain that the list must have; "" for the one of RFC 5782 5
}

// Query is what a list is asked about: the name of a fact.
type Query string

// The words of query.
const (
	QueryClientIP     Query = "client.ip"
	QueryHeloName     Query = "helo.name"
	QuerySenderDomain Query = "sender.domain"
	QueryAuthorDomain Query = "author.domain"
	QueryDKIMDomains  Query = "dkim.domains"
)

// CodeWeight is what some codes of a list count: below 0 for the subject, above against it.
type CodeWeight struct {
	Codes  Codes
	Points int
}

// Reply is [reply].
type Reply struct {
	Footer string // printable ASCII behind every refusal; {id} stands for the message's id
}

// Authres is [authres]: the Authentication-Results field.
type Authres struct {
	ReceivedSPF     bool // add Received-SPF too
	KeepFromTrusted bool // fields of our own name from a trusted hop stay
}

// Log is [log].
type Log struct {
	Format LogFormat
	Level  slog.Level // the least that is logged
}

// LogFormat is the form of log lines.
type LogFormat string

// The log formats.
const (
	LogAuto     LogFormat = "auto"     // journald under systemd, logfmt on a terminal, else JSON
	LogLogfmt   LogFormat = "logfmt"   // key=value
	LogJSON     LogFormat = "json"     // one JSON object a line
	LogJournald LogFormat = "journald" // to the journal, with a field for each part
	LogSyslog   LogFormat = "syslog"   // to syslog, facility mail
)

// Admin is [admin]: who may command the daemon and see its page over HTTP.
type Admin struct {
	Token string // what lets in; "" for nobody. A secret: never printed
}

// Alert is [alert]: whom errors are mailed to.
type Alert struct {
	To     string // an address; "" for nobody
	Server string // host:port of the MTA that takes the mail
}

// Recipients is [recipients].
type Recipients struct {
	Mixed Mixed
}

// Mixed is what happens to recipients of one message whose rules differ.
type Mixed string

// The words of mixed.
const (
	MixedSplit   Mixed = "split"   // 452 4.5.3: they come in a transaction of their own
	MixedMildest Mixed = "mildest" // all are taken, and the mildest decision holds
)

// Default gives the settings of an empty file: a valid policy that accepts everything and adds Authentication-Results.
func Default() File {
	return File{
		// Nothing is refused until somebody asks for it.
		Mode: Observe,
		Listen: Listen{
			// Loopback only: the milter protocol knows no password.
			Milter: []Endpoint{{Network: "tcp", Address: "127.0.0.1:8894"}},
			// Postfix runs at most 100 smtpd processes by default, so this bounds memory and never mail.
			Sessions: 2000,
			// The runtime folder that systemd makes for a service named gatepost.
			Admin: &Endpoint{Network: "unix", Address: "/run/gatepost/admin.sock"},
			// Loopback only: health and metrics need no token.
			HTTP: "127.0.0.1:8895",
		},
		Server: Server{
			// systemd's StateDirectory for a service named gatepost.
			Directory: "/var/lib/gatepost",
			// As smtpd_delay_reject: sender, log and history get text, id and addresses.
			DelayReject: true,
			// What one operator usually holds: the smallest IPv4 route on the Internet, and one IPv6 site.
			NetworkV4: 24, NetworkV6: 56,
			// The ports of submission and submissions, and the daemon names that Postfix and Sendmail ship for them.
			Submission: Submission{
				Ports: []int{587, 465},
				Names: []string{"ORIGINATING", "submission", "submissions", "smtps", "MSA"},
			},
		},
		Trust: Trust{
			// Only this machine.
			Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			// A tag loses nothing and needs nobody to look.
			InsteadOfRefusal: InsteadTag,
		},
		DNS: DNS{
			// A recursive resolver that works answers within a second; one more for a lost packet.
			Timeout: 2 * time.Second,
			// A third of the 30 s that Postfix waits for a milter's answer to one command (milter_command_timeout).
			Budget: 10 * time.Second,
			// A few hundred bytes each, so tens of megabytes when full: enough for a busy day of sender domains.
			Cache: 100_000,
		},
		// Every refusal ends with its id anyway.
		Reply: Reply{Footer: ""},
		Authres: Authres{
			// Authentication-Results says the same, and better.
			ReceivedSPF: false,
			// A second hop of ours under the same name is believed, not erased.
			KeepFromTrusted: true,
		},
		Log: Log{Format: LogAuto, Level: slog.LevelInfo},
		// The MTA of this machine, which is the one that asks us.
		Alert: Alert{Server: "127.0.0.1:25"},
		// Nothing else to install.
		Store: Store{Kind: StoreEmbedded, URL: "redis://127.0.0.1:6379/0"},
		// Two invoices back; a million small messages are some hundred megabytes.
		History: History{Keep: 30 * day, Size: 2_000_000_000, Addresses: AddressesPlain},
		Reputation: Reputation{
			// A sender that mends its ways is believed within a month; a good name outlives a holiday.
			HalfLife: 14 * day, Settle: 14 * day,
			// Half a year: longer than most pauses in a correspondence.
			Correspondent: 180 * day,
			// One name for millions of strangers: whoever writes to one of them knows none of the others.
			Freemail: []string{"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "aol.com", "gmx.net", "gmx.de", "web.de", "proton.me"},
			// A mistyped address is half a sign; what a filter read is a strong one.
			UnknownRecipient: 0.5, Spam: 3, FromCorrespondent: 1, Ham: 0.2,
		},
		ContentFilter: ContentFilter{Spam: "YES"},
		// As postgrey(8) has them.
		Greylist:   Greylist{Delay: 5 * time.Minute, RetryWindow: 24 * time.Hour, MaxAge: 36 * day},
		Recipients: Recipients{Mixed: MixedSplit},
	}
}

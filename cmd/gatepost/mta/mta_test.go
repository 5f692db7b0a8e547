package mta

import (
	"slices"
	"strings"
	"testing"
)

// What postconf 3.7.11 prints of a main.cf and master.cf written by hand.
const (
	printedAll = `mail_version = 3.7.11
config_directory = /etc/postfix
compatibility_level = 3.6
queue_directory = /var/spool/postfix
inet_interfaces = 192.0.2.25, localhost
opendkim = inet:localhost:8891
smtpd_milters = inet:localhost:8891, { inet:127.0.0.1:11332, default_action=accept }
`
	printedSet = `opendkim = inet:localhost:8891
smtpd_milters = $opendkim, { inet:127.0.0.1:11332, default_action=accept }
`
	printedFields = `smtp/inet/service = smtp
smtp/inet/type = inet
smtp/inet/chroot = y
smtp/inet/command = smtpd
submission/inet/chroot = -
submission/inet/command = smtpd -o smtpd_milters=$opendkim
private/policy-spf/unix/chroot = n
private/policy-spf/unix/command = spawn user=nobody argv=/usr/bin/policyd-spf
cleanup/unix/chroot = y
cleanup/unix/command = cleanup
`
	printedOptions  = "submission/inet/smtpd_milters = $opendkim\n"
	printedExpanded = "submission/inet/smtpd_milters = inet:localhost:8891\n"
)

func example() *Postfix {
	return ParsePostfix(printedAll, printedSet, printedFields, printedOptions, printedExpanded)
}

func TestParsePostfix(t *testing.T) {
	p := example()
	if p.Version != "3.7.11" || !p.AtLeast(3, 0) || !p.AtLeast(3, 7) || p.AtLeast(3, 8) || p.AtLeast(4, 0) {
		t.Errorf("version %q", p.Version)
	}
	if len(p.Services) != 4 || p.Services[2].Key() != "private/policy-spf/unix" {
		t.Fatalf("services: %+v", p.Services)
	}
	smtp, submission := p.Servers()[0], p.Servers()[1]
	if !smtp.Chroot || submission.Chroot || smtp.Port() != 25 || submission.Port() != 587 {
		t.Errorf("%+v %+v", smtp, submission)
	}
	if got := p.Dial(smtp); got != "192.0.2.25:25" {
		t.Errorf("dial %s", got)
	}
	if got := p.Of(submission, "smtpd_milters"); got != "inet:localhost:8891" {
		t.Errorf("submission has %q", got)
	}
	if written, own := p.Written("smtpd_milters"); !own || !strings.HasPrefix(written, "$opendkim") {
		t.Errorf("written: %q", written)
	}
}

// TestChrootColumn: "-" means y at compatibility level 0 and before Postfix 3.0 (master(5)).
func TestChrootColumn(t *testing.T) {
	for settings, want := range map[string]bool{
		"mail_version = 3.7.11\ncompatibility_level = 3.6\n": false, "mail_version = 3.7.11\ncompatibility_level = 2\n": false,
		"mail_version = 3.7.11\ncompatibility_level = 0\n": true, "mail_version = 2.11.3\n": true,
	} {
		if p := ParsePostfix(settings, "", "smtp/inet/chroot = -\n", "", ""); p.Services[0].Chroot != want {
			t.Errorf("%q: chroot %v", settings, !want)
		}
	}
}

func TestMilters(t *testing.T) {
	p := example()
	written, _ := p.Written("smtpd_milters")
	got := p.Milters(written)
	if len(got) != 2 || got[0].Text != "$opendkim" || got[0].Endpoint != "inet:localhost:8891" || got[1].Endpoint != "inet:127.0.0.1:11332" || got[1].Settings["default_action"] != "accept" {
		t.Errorf("%+v", got)
	}
	for endpoint, want := range map[string]string{
		"inet:localhost:8894": "inet:127.0.0.1:8894", "inet:8894@localhost": "inet:127.0.0.1:8894", "inet:[::1]:8894": "inet:[::1]:8894",
		"unix:gatepost/m.sock": "unix:/var/spool/postfix/gatepost/m.sock", "unix:/gatepost/m.sock": "unix:/var/spool/postfix/gatepost/m.sock",
	} {
		if got := p.Place(endpoint, true); got != want {
			t.Errorf("Place(%s) = %s, want %s", endpoint, got, want)
		}
	}
	if got := p.Place("unix:/run/m.sock", false); got != "unix:/run/m.sock" {
		t.Errorf("without chroot: %s", got)
	}
}

func TestRestrictions(t *testing.T) {
	got := Restrictions("permit_mynetworks,\n  reject_rbl_client zen.example=127.0.0.[2..11] warn_if_reject reject_rhsbl_sender dbl.example, check_policy_service { inet:127.0.0.1:10023, timeout=10s } reject")
	var texts []string
	for _, r := range got {
		texts = append(texts, r.String())
	}
	want := []string{"permit_mynetworks", "reject_rbl_client zen.example=127.0.0.[2..11]", "warn_if_reject reject_rhsbl_sender dbl.example",
		"check_policy_service { inet:127.0.0.1:10023, timeout=10s }", "reject"}
	if !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
}

func TestSoftware(t *testing.T) {
	for endpoint, want := range map[string]string{
		"inet:localhost:8891": "opendkim", "unix:private/policyd-spf": "policyd-spf", "inet:127.0.0.1:10023": "postgrey", "local:opendmarc/opendmarc.sock": "opendmarc",
		"inet:127.0.0.1:11332": "rspamd", "inet:127.0.0.1:7777": "inet:127.0.0.1:7777", "": "",
	} {
		if got := Software(endpoint); got != want {
			t.Errorf("Software(%q) = %q, want %q", endpoint, got, want)
		}
	}
}

// FuzzSplit: nothing but blanks and commas is lost, and what came out goes in again.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"a, b c", "{ a, b } c", "{{a}", "}a, b}", "", " ,, "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		items := Split(list)
		bare := strings.NewReplacer(" ", "", ",", "", "\t", "", "\n", "", "\r", "").Replace // not by rune: a list may be no UTF-8
		if bare(strings.Join(items, "")) != bare(list) {
			t.Errorf("%q: %q", list, items)
		}
		if again := Split(strings.Join(items, ", ")); !slices.Equal(again, items) {
			t.Errorf("%q: %q, then %q", list, items, again)
		}
		p := example()
		p.Milters(list)
		Restrictions(list)
		if strings.Count(p.Expand(list), "$") > strings.Count(list, "$") {
			t.Errorf("%q grows dollars", list)
		}
	})
}

// FuzzParsePostfix: whatever postconf prints, services have names, and expansion ends.
func FuzzParsePostfix(f *testing.F) {
	f.Add(printedAll, printedFields)
	f.Fuzz(func(t *testing.T, all, fields string) {
		p := ParsePostfix(all, all, fields, fields, fields)
		for _, s := range p.Services {
			if s.Type == "" && !strings.HasSuffix(s.Key(), "/") {
				t.Errorf("%+v", s)
			}
		}
	})
}

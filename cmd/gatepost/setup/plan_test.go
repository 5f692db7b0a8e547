package setup

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/policy/policyfile"
)

const base = "mail_version = 3.7.11\ncompatibility_level = 3.6\nqueue_directory = /var/spool/postfix\nmilter_protocol = 6\n" +
	"parent_domain_matches_subdomains = debug_peer_list,smtpd_access_maps\nmynetworks = 127.0.0.0/8 [::1]/128\n"

// services are the fields and options of a master.cf as Debian ships it, with the submission service made active.
const (
	fields = "smtp/inet/chroot = y\nsmtp/inet/command = smtpd\nsubmission/inet/chroot = y\nsubmission/inet/command = smtpd\n" +
		"cleanup/unix/chroot = y\ncleanup/unix/command = cleanup\n"
	options = "submission/inet/smtpd_sasl_auth_enable = yes\nsubmission/inet/milter_macro_daemon_name = ORIGINATING\n"
)

// configured gives an instance whose main.cf has some lines and whose master.cf has some more options.
func configured(main, more string) *mta.Postfix {
	return mta.ParsePostfix(base+main, main, fields, options+more, options+more)
}

func wish() Wish {
	d := policyfile.Default()
	return Wish{Endpoints: d.Listen.Milter, Submission: d.Server.Submission, Budget: d.DNS.Budget, Command: "gatepost setup postfix"}
}

const (
	oursStrangers = "{ inet:127.0.0.1:8894, connect_timeout=10s, command_timeout=30s, default_action=tempfail }"
	oursLocal     = "{ inet:127.0.0.1:8894, connect_timeout=10s, command_timeout=30s, default_action=accept }"
	oursUsers     = "{inet:127.0.0.1:8894,connect_timeout=10s,command_timeout=30s,default_action=accept}"
)

// TestPlans: what is configured, and each command that wires it; written by hand from MILTER_README and postconf(1).
func TestPlans(t *testing.T) {
	unix := func(path string) func(*Wish) {
		return func(w *Wish) { w.Endpoints = []policyfile.Endpoint{{Network: "unix", Address: path}} }
	}
	for name, c := range map[string]struct {
		main, more string
		change     func(*Wish)
		want       []string
	}{
		"nothing there": {want: []string{"smtpd_milters = " + oursStrangers, "non_smtpd_milters = " + oursLocal, "submission/inet/smtpd_milters=" + oursUsers}},
		"a signer stays behind": {
			main: "smtpd_milters = inet:localhost:8891\nnon_smtpd_milters = $smtpd_milters\n",
			want: []string{"smtpd_milters = " + oursStrangers + ", inet:localhost:8891", "non_smtpd_milters = " + oursLocal + ", inet:localhost:8891",
				"submission/inet/smtpd_milters=" + oursUsers + ",inet:localhost:8891"},
		},
		"a signer of the submission service only": {
			more: "submission/inet/smtpd_milters = inet:localhost:8891\n",
			want: []string{"smtpd_milters = " + oursStrangers, "non_smtpd_milters = " + oursLocal, "submission/inet/smtpd_milters=" + oursUsers + ",inet:localhost:8891"},
		},
		"a content filter that we read comes first": {
			main: "smtpd_milters = inet:localhost:11332 inet:localhost:8891\n", change: func(w *Wish) { w.FilterName = "X-Spam-Flag" },
			want: []string{"smtpd_milters = inet:localhost:11332, " + oursStrangers + ", inet:localhost:8891", "non_smtpd_milters = " + oursLocal,
				"submission/inet/smtpd_milters=inet:localhost:11332," + oursUsers + ",inet:localhost:8891"},
		},
		"accept for all": {
			change: func(w *Wish) { w.IfDown = Accept },
			want:   []string{"smtpd_milters = " + oursLocal, "non_smtpd_milters = " + oursLocal},
		},
		"a socket in the chroot": {
			change: unix("/var/spool/postfix/gatepost/milter.sock"),
			want: []string{"smtpd_milters = " + strings.Replace(oursStrangers, "inet:127.0.0.1:8894", "unix:gatepost/milter.sock", 1),
				"non_smtpd_milters = " + strings.Replace(oursLocal, "inet:127.0.0.1:8894", "unix:gatepost/milter.sock", 1),
				"submission/inet/smtpd_milters=" + strings.Replace(oursUsers, "inet:127.0.0.1:8894", "unix:gatepost/milter.sock", 1)},
		},
		"an old wiring is replaced": {
			main: "smtpd_milters = unix:/var/spool/postfix/gatepost/old.sock\n",
			want: []string{"smtpd_milters = " + oursStrangers, "non_smtpd_milters = " + oursLocal, "submission/inet/smtpd_milters=" + oursUsers},
		},
		"users at another port": {
			main: "smtpd_milters = " + oursLocal + "\nnon_smtpd_milters = " + oursLocal + "\n",
			more: "submission/inet/milter_macro_daemon_name = other\n", change: func(w *Wish) { w.IfDown, w.Submission = Accept, policyfile.Submission{} },
			want: []string{"submission/inet/milter_macro_daemon_name=ORIGINATING"},
		},
		"postgrey and opendmarc go": {
			main: "smtpd_milters = inet:localhost:8893\nsmtpd_recipient_restrictions = permit_mynetworks, check_policy_service inet:127.0.0.1:10023, reject_rbl_client zen.example=127.0.0.2\n",
			change: func(w *Wish) {
				w.IfDown, w.Retire = Accept, []string{"postgrey", "OpenDMARC", "zen.example"}
			},
			want: []string{"smtpd_milters = " + oursLocal, "non_smtpd_milters = " + oursLocal, "smtpd_recipient_restrictions = permit_mynetworks"},
		},
		"more patience for slow DNS": {
			change: func(w *Wish) { w.Budget, w.IfDown = 40*time.Second, Accept },
			want:   []string{"smtpd_milters = " + strings.Replace(oursLocal, "30s", "90s", 1), "non_smtpd_milters = " + strings.Replace(oursLocal, "30s", "90s", 1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := wish()
			if c.change != nil {
				c.change(&w)
			}
			plan, err := ForPostfix(configured(c.main, c.more), w)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, command := range plan.Commands() {
				got = append(got, command[1])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestNoSocketToReach: a socket outside of the chroot is refused with what to write.
func TestNoSocketToReach(t *testing.T) {
	w := wish()
	w.Endpoints = []policyfile.Endpoint{{Network: "unix", Address: "/run/gatepost/milter.sock"}}
	_, err := ForPostfix(configured("", ""), w)
	if err == nil || !strings.Contains(err.Error(), `runs in the chroot /var/spool/postfix and cannot see /run/gatepost/milter.sock; write listen.milter = ["unix:/var/spool/postfix/gatepost/milter.sock"]`) {
		t.Error(err)
	}
}

// TestOldPostfix: before 3.0 a milter has no settings of its own.
func TestOldPostfix(t *testing.T) {
	p := mta.ParsePostfix(strings.Replace(base, "3.7.11", "2.11.3", 1), "", fields, options, options)
	plan, err := ForPostfix(p, wish())
	if err != nil {
		t.Fatal(err)
	}
	want := "[[-e smtpd_milters = inet:127.0.0.1:8894] [-e non_smtpd_milters = inet:127.0.0.1:8894] [-e milter_default_action = tempfail] " +
		"[-P submission/inet/milter_default_action=accept] [-P cleanup/unix/milter_default_action=accept]]"
	if got := fmt.Sprint(plan.Commands()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestContentFilter: the service that takes mail back from a content filter gets no milter.
func TestContentFilter(t *testing.T) {
	p := mta.ParsePostfix(base+"content_filter = smtp-amavis:[127.0.0.1]:10024\n", "", fields+"127.0.0.1:10025/inet/chroot = y\n127.0.0.1:10025/inet/command = smtpd\n",
		options+"127.0.0.1:10025/inet/content_filter = \n", options+"127.0.0.1:10025/inet/content_filter = \n")
	plan, err := ForPostfix(p, wish())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(plan.Commands()); !strings.Contains(got, "[-P 127.0.0.1:10025/inet/smtpd_milters=]") {
		t.Error(got)
	}
}

// TestSendmailLines: as cf/README writes them.
func TestSendmailLines(t *testing.T) {
	lines, notes, err := Sendmail{Version: "8.17.1.9", MC: "INPUT_MAIL_FILTER(`opendkim', `S=inet:8891@localhost')dnl\n"}.Lines(wish())
	want := []string{
		"dnl gatepost: strangers' mail; while Gatepost is away: tempfail",
		"INPUT_MAIL_FILTER(`gatepost', `S=inet:8894@127.0.0.1, F=T, T=C:10s;S:30s;R:30s;E:5m')dnl",
		"dnl gatepost: mail of your users and of this machine; while Gatepost is away: accept",
		"MAIL_FILTER(`gatepost-submission', `S=inet:8894@127.0.0.1, T=C:10s;S:30s;R:30s;E:5m')dnl",
	}
	if err != nil || !slices.Equal(lines, want) || !strings.Contains(strings.Join(notes, "\n"), "opendkim is a filter already") {
		t.Errorf("%v\n%s\n%q", err, strings.Join(lines, "\n"), notes)
	}
	if _, _, err := (Sendmail{Version: "8.13.8"}).Lines(wish()); err == nil {
		t.Error("8.13 is taken")
	}
	mc := "VERSIONID(`x')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n"
	merged := MergeMC(mc, lines)
	if strings.Index(merged, "INPUT_MAIL_FILTER") > strings.Index(merged, "MAILER(`local')") || MergeMC(merged, lines) != merged || StripMC(merged) != mc {
		t.Errorf("%s", merged)
	}
}

// TestStore: a failed change leaves everything as it was; undo gives back byte for byte what nobody else has touched, and else only takes
// out what setup wrote.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string { text, _ := os.ReadFile(path); return string(text) }
	const before = "mode = \"observe\"\n[list]\nallow = []\n"
	write(before)
	store := StoreOf(dir)
	if err := store.Edit([]string{path}, nil, func() error { write("half"); return os.ErrInvalid }); err == nil || read() != before {
		t.Fatalf("%v, %q", err, read())
	}
	if _, err := store.Undo(t.Context(), nil, Strip); err != ErrNothing {
		t.Errorf("after a failed change: %v", err)
	}
	im := &Import{Lists: map[string][]Entry{"imported_x": {{"192.0.2.1", "note"}}}, Networks: []Entry{{"192.0.2.0/24", "mynetworks"}}}
	edit := func() {
		t.Helper()
		if err := store.Edit([]string{path}, nil, func() error { write(im.Merge(read(), nil)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	edit()
	edit()
	if done, err := store.Undo(t.Context(), nil, Strip); err != nil || read() != before || !strings.HasSuffix(done[0], "is as it was") {
		t.Errorf("%v %q: %q", err, done, read())
	}
	edit()
	write(strings.Replace(read(), "allow = []", `allow = ["partner.example"]`, 1))
	if _, err := store.Undo(t.Context(), nil, Strip); err != nil || strings.Contains(read(), "imported") || !strings.Contains(read(), "partner.example") {
		t.Errorf("%v: %q", err, read())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestMergeIntoAnything: wherever the sections stand, or whether, the networks come into [trust] and the lists into [list].
func TestMergeIntoAnything(t *testing.T) {
	im := &Import{Networks: []Entry{{"192.0.2.0/24", "mynetworks"}}, Lists: map[string][]Entry{"imported_x": {{"a.example", "note"}}}}
	for _, policy := range []string{
		"", "mode = \"observe\"", "[trust]\n", "[trust]\nrelays = []\n[list]\n", "[trust] # ours\n#networks = [\"127.0.0.0/8\", \"::1\"]\n",
		"[trust]\nnetworks = [ \"198.51.100.0/24\" ]\n", "[trust]\nnetworks = [\n  \"198.51.100.0/24\", # a ] b\n]\n[[rule]]\nname = \"x\"\nwhen = 'client.trusted'\naction = \"accept\"\n",
	} {
		merged := im.Merge(policy, nil)
		file, err := policyfile.Parse("policy.toml", []byte(merged), vocabulary(t))
		if err != nil {
			t.Errorf("%q: %v\n%s", policy, err, merged)
			continue
		}
		if !slices.Contains(file.Trust.Networks, netip.MustParsePrefix("192.0.2.0/24")) || strings.Contains(policy, "198.51") != slices.Contains(file.Trust.Networks, netip.MustParsePrefix("198.51.100.0/24")) {
			t.Errorf("%q: %v", policy, file.Trust.Networks)
		}
		if again := im.Merge(merged, file.Trust.Networks); !strings.Contains(again, "imported_x") || strings.Count(again, "imported_x") != 1 {
			t.Errorf("a second time:\n%s", again)
		}
	}
}

// FuzzMergeMC: whatever stands in sendmail.mc, our lines come in once and go again.
func FuzzMergeMC(f *testing.F) {
	f.Add("VERSIONID(`x')dnl\nMAILER(`smtp')dnl\n")
	f.Add("INPUT_MAIL_FILTER(`a', `S=x')")
	f.Fuzz(func(t *testing.T, mc string) {
		if strings.Contains(mc, "gatepost setup sendmail") {
			return
		}
		lines, _, err := Sendmail{Version: "8.17.1", MC: mc}.Lines(wish())
		if err != nil {
			t.Fatal(err)
		}
		merged := MergeMC(mc, lines)
		if strings.Count(merged, lines[1]) != strings.Count(mc, lines[1])+1 || MergeMC(merged, lines) != merged {
			t.Errorf("%q: %q", mc, merged)
		}
		if back := StripMC(merged); back != mc && back != mc+"\n" {
			t.Errorf("%q became %q", mc, back)
		}
	})
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/page"
	"gatepost.example/filter"
	"gatepost.example/policy/policyfile"
)

// This file is the commands' side of the admin socket.

// talker asks the daemon.
type talker struct {
	socket string
	client *http.Client
}

// adminLine finds listen.admin in a policy file.
var adminLine = regexp.MustCompile(`(?m)^\s*admin\s*=\s*["'](.*?)["']`)

// talkTo finds the daemon's socket: as --socket says, else as the policy does, else the default.
func talkTo(path, socket string) (*talker, error) {
	if socket == "" {
		var err error
		if socket, err = namedIn(path, adminLine, policyfile.Default().Listen.Admin.Address); err != nil {
			return nil, err
		}
		if socket == "" {
			return nil, fmt.Errorf("%s says that the daemon has no socket for commands; set listen.admin", path)
		}
	}
	socket = strings.TrimPrefix(socket, "unix:")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	// Without keep-alives: a connection that rests takes one of the few places that the daemon has for commands.
	return &talker{socket, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 2 * adminTime}}, nil
}

// namedIn gives what a line of a policy file names. It is read without the checks of a policy: one with mistakes still names the daemon that runs. What
// is usual stands for a line that is not there, and for the usual file where there is none; a file that was asked for has to be there, lest another
// daemon answers.
func namedIn(path string, line *regexp.Regexp, usual string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil && path != defaultPolicy {
		return "", withRights(fmt.Errorf("the policy cannot be read: %w", err))
	}
	if named := line.FindSubmatch(text); named != nil {
		return string(named[1]), nil
	}
	return usual, nil
}

// ask sends one request and reads the answer into out, which may be nil.
func (t *talker) ask(method, path string, values url.Values, body, out any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequest(method, "http://gatepost"+path+"?"+values.Encode(), content)
	if err != nil {
		return err
	}
	reply, err := t.client.Do(request)
	if err != nil {
		var wrong *net.OpError
		if errors.As(err, &wrong) {
			err = wrong
		}
		return fmt.Errorf("no daemon answers at %s: %w; is gatepost serve running, and may you use its socket?", t.socket, err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<16))
		return answerNo{errors.New(strings.TrimSpace(string(text)))}
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(reply.Body).Decode(out)
}

// place is where a command finds the daemon, as its flags say.
type place struct{ policy, socket string }

func (p *place) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&p.policy, "policy", defaultPolicy, "the policy `FILE`, which names the daemon's socket")
	c.PersistentFlags().StringVar(&p.socket, "socket", "", "the daemon's `SOCKET` for commands")
}

// ask asks the daemon at the place.
func (p *place) ask(method, path string, values url.Values, body, out any) error {
	t, err := talkTo(p.policy, p.socket)
	if err != nil {
		return err
	}
	return t.ask(method, path, values, body, out)
}

// printTable prints rows under a head, or what they are of as JSON. Cells may be what a sender wrote, but for tabs.
func printTable(c *cobra.Command, asJSON bool, value any, head string, rows []string) error {
	if asJSON {
		return printJSON(c, value)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, row := range rows {
		cells := strings.Split(row, "\t")
		for i := range cells {
			cells[i] = filter.Visible(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// ago says how long something is past, as people read it.
func ago(t time.Time) string { return page.Ago(time.Since(t)) }

// Command tools builds the packages of Gatepost: a deb and an rpm for each architecture, from packaging/nfpm.yaml.
//
//	go -C packaging/tools run . packages            writes dist/, in the project's folder
//	go -C packaging/tools run . upgrade             writes dist/upgrade: later packages with a changed policy, for the tests, from what is built
//	go -C packaging/tools run . licences            writes packaging/licences.md anew, after a change of go.mod
//
// The same commit gives the same bytes, wherever and whenever it is built: the time is that of the commit (or SOURCE_DATE_EPOCH), modes
// and owners stand in nfpm.yaml, and the build host's name is fixed. It is a module of its own, so that what it needs is no requirement
// of Gatepost.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("tools", flag.ContinueOnError)
	project := flags.String("project", "../..", "the project's `FOLDER`")
	arch := flags.String("arch", "amd64,arm64", "the `ARCHITECTURES`, as Go calls them")
	if len(args) == 0 {
		return errors.New("say what to make: packages, upgrade or licences")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if err := os.Chdir(*project); err != nil {
		return err
	}
	switch args[0] {
	case "packages":
		return packages(strings.Split(*arch, ","))
	case "upgrade":
		return upgrade(runtime.GOARCH)
	case "licences":
		return writeLicences()
	}
	return fmt.Errorf("%q is nothing to make; write packages, upgrade or licences", args[0])
}

// licenceTable is the file that names each dependency with its licence.
const licenceTable = "packaging/licences.md"

func writeLicences() error {
	modules, err := linkedModules()
	if err != nil {
		return err
	}
	return os.WriteFile(licenceTable, []byte(tableOf(modules)), 0o644)
}

// packages makes everything below dist/, in the project's folder.
func packages(architectures []string) error {
	if err := os.RemoveAll("dist"); err != nil {
		return err
	}
	if err := os.MkdirAll("dist/build", 0o755); err != nil {
		return err
	}
	at, err := buildTime()
	if err != nil {
		return err
	}
	r, err := newRelease(at)
	if err != nil {
		return err
	}
	for _, arch := range architectures {
		if err := buildBinary(arch); err != nil {
			return err
		}
	}
	if err := documents(r); err != nil {
		return err
	}
	return packAll(r, "dist", "policy.toml", architectures)
}

// upgrade makes packages of the same binary that are an hour younger and bring another policy.
func upgrade(arch string) error {
	if err := os.MkdirAll("dist/upgrade", 0o755); err != nil {
		return err
	}
	at, err := buildTime()
	if err != nil {
		return err
	}
	r, err := newRelease(at.Add(time.Hour))
	if err != nil {
		return err
	}
	text, err := os.ReadFile("policy.toml")
	if err != nil {
		return err
	}
	changed := "dist/build/policy.toml"
	if err := os.WriteFile(changed, append(text, "\n# A later version says more.\n"...), 0o644); err != nil {
		return err
	}
	return packAll(r, "dist/upgrade", changed, []string{arch})
}

func packAll(r release, into, policy string, architectures []string) error {
	for _, arch := range architectures {
		for _, format := range []string{"deb", "rpm"} {
			path, err := pack(r, into, policy, format, arch)
			if err != nil {
				return fmt.Errorf("%s for %s: %w", format, arch, err)
			}
			fmt.Println(path)
		}
	}
	return nil
}

// buildTime is the time that everything in the packages bears: SOURCE_DATE_EPOCH, or that of the commit.
func buildTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := output("git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("%w; outside of a checkout set SOURCE_DATE_EPOCH", err)
		}
		text = out
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// buildBinary builds the daemon for an architecture, without C, without paths of this machine.
func buildBinary(arch string) error {
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join("dist/build", arch, "gatepost"), "./cmd/gatepost")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build for %s: %w\n%s", arch, err, out)
	}
	return nil
}

// output runs a command and gives what it prints, without the end of the line.
func output(name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	var wrong bytes.Buffer
	c.Stderr = &wrong
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(wrong.String()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}

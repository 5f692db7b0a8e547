package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// pack writes one package, with a policy, into a folder and gives its path.
func pack(r release, into, policy, format, arch string) (string, error) {
	config, err := nfpm.ParseFileWithEnvMapping("packaging/nfpm.yaml", func(name string) string { return map[string]string{"GOARCH": arch}[name] })
	if err != nil {
		return "", err
	}
	info, err := config.Get(format)
	if err != nil {
		return "", err
	}
	for _, c := range info.Contents {
		if c.Source == "policy.toml" {
			c.Source = policy
		}
		if format == "rpm" && (strings.HasPrefix(c.Destination, "/usr/share/doc/") || strings.HasPrefix(c.Destination, "/usr/share/man/")) {
			c.Type = files.TypeRPMDoc // a deb's files are all of one kind
		}
	}
	info = nfpm.WithDefaults(info)
	info.Arch, info.MTime = arch, r.at
	info.Version, info.Prerelease, info.Release = r.version, r.prerelease, "1"
	if format == "rpm" { // the deb's are files that documents made
		modules, err := linkedModules()
		if err != nil {
			return "", err
		}
		info.Changelog = "dist/build/changelog.yaml"
		info.License = strings.Join(licencesOf(modules), " AND ")
	}
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return "", err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	path := filepath.Join(into, packager.ConventionalFileName(info))
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	return path, errors.Join(packager.Package(info, file), file.Close())
}

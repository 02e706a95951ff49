package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Prosody starts Prosody and waits until it listens. It stops when the test ends.
func Prosody(t TB, o Options) *Server {
	t.Helper()
	binary := program(t, "prosody")
	dir := t.TempDir()
	c := newConf(t, o, "prosody.test", dir)
	file := filepath.Join(dir, "prosody.cfg.lua")
	c.write(t, "prosody.cfg.lua.tmpl", file)
	s := c.server("Prosody")
	s.listens = []string{s.C2S, s.S2S}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(binary, "-F", "--config", file)
		cmd.Dir = dir
		return cmd
	}
	// Storage "internal" is a file per user and store, read at each login, so an account is a file. prosodyctl would start an
	// interpreter for each.
	store := func(name, user, domain, lua string) error {
		dir := filepath.Join(c.Data, prosodyEncode(domain), name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, prosodyEncode(user)+".dat"), []byte("return {\n"+lua+"};\n"), 0o600)
	}
	s.addAccount = func(_ context.Context, user, domain, password string) error {
		return store("accounts", user, domain, fmt.Sprintf("\t[\"password\"] = %s;\n", quote(password)))
	}
	s.addSubscribers = func(_ context.Context, user string, contacts []string) error {
		lua := "\t[false] = { [\"version\"] = 1; [\"pending\"] = {} };\n"
		for _, who := range contacts {
			lua += fmt.Sprintf("\t[%s] = { [\"subscription\"] = \"from\"; [\"groups\"] = {} };\n", quote(who))
		}
		return store("roster", user, c.Domain, lua)
	}
	return s.launch(t)
}

var notAlphanumeric = regexp.MustCompile(`[^0-9A-Za-z]`)

// prosodyEncode is how Prosody makes file names of names.
func prosodyEncode(name string) string {
	return notAlphanumeric.ReplaceAllStringFunc(name, func(c string) string { return fmt.Sprintf("%%%02x", c[0]) })
}

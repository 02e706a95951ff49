package rig

import (
	"os"
	"os/exec"
	"path/filepath"
)

// RequiredEnv names the environment variable that turns a missing program from a skipped test into a failed one: set it to "required".
const RequiredEnv = "SWITCHYARD_REAL_PEERS"

// TB is the part of testing.TB that the kit uses. [Once] has one of its own that outlives a single test.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// unavailable ends a test whose peer cannot run here.
func unavailable(t TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(RequiredEnv) == "required" {
		t.Fatalf(RequiredEnv+"=required, but "+format, args...)
	}
	t.Skipf(format, args...)
}

// program finds an executable in PATH or where Debian keeps daemons, which a user's PATH may lack.
func program(t TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	unavailable(t, "%s is not installed", name)
	return ""
}

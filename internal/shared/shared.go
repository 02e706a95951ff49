// Package shared finds the corpora, vectors and transcripts that live beside the repository and are not part of it.
package shared

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the folder that holds the shared material: $SWITCHYARD_SHARED, or "shared" beside the repository.
// The test is skipped where there is none.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SWITCHYARD_SHARED")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no shared material: %v", err)
	}
	return dir
}

// Open opens a file below Dir and closes it when the test ends.
func Open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(Dir(t), filepath.FromSlash(name)))
	if err != nil {
		t.Skipf("no shared material: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

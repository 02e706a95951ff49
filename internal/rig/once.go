package rig

import (
	"fmt"
	"os"
	"sync"
)

// Once starts something on first use and keeps it until Close, so that all tests of a package, and all rounds of -count, share
// one start. The zero value is ready. Call Close in TestMain after m.Run.
type Once struct {
	mu    sync.Mutex
	scope *scope
}

// Do calls start unless an earlier call did. What start registers with its TB (clean-ups, temporary directories) lasts until
// Close. If start skipped or failed the first test, every later one is skipped or fails with the same words.
func (o *Once) Do(t TB, start func(TB)) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.scope == nil {
		o.scope = &scope{current: t}
		defer func() { o.scope.current = nil }()
		start(o.scope)
		return
	}
	if o.scope.end != nil {
		o.scope.end(t)
	}
}

// Close undoes what start did, last thing first.
func (o *Once) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.scope != nil {
		o.scope.close()
	}
}

// scope is a TB that outlives the test in which it began. Its Cleanup may be called from any test at any time; the rest belongs to
// whoever is in Do or Close.
type scope struct {
	current TB         // the test that is in Do; nil outside
	end     func(t TB) // how start ended its test, nil if it did not

	mu       sync.Mutex
	cleanups []func()
}

func (s *scope) Helper() {
	if s.current != nil {
		s.current.Helper()
	}
}

func (s *scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

func (s *scope) TempDir() string {
	dir, err := os.MkdirTemp("", "switchyard-rig")
	if err != nil {
		s.Fatalf("temporary directory: %v", err)
	}
	s.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			s.Logf("temporary directory: %v", err)
		}
	})
	return dir
}

func (s *scope) Failed() bool { return s.end != nil }

func (s *scope) Logf(format string, args ...any) {
	if s.current != nil {
		s.current.Helper()
		s.current.Logf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (s *scope) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.finish(func(t TB) { t.Helper(); t.Fatalf("%s", text) })
}

func (s *scope) Skipf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.finish(func(t TB) { t.Helper(); t.Skipf("%s", text) })
}

// finish ends the test that is in Do and remembers how. What was started so far is undone at once.
func (s *scope) finish(end func(TB)) {
	if s.current == nil {
		panic("rig: a TB given by Once.Do was used to end a test after Do returned")
	}
	s.current.Helper()
	s.end = end
	s.close()
	end(s.current)
}

func (s *scope) close() {
	for {
		s.mu.Lock()
		last := len(s.cleanups) - 1
		if last < 0 {
			s.mu.Unlock()
			return
		}
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		s.mu.Unlock()
		f()
	}
}

package rig

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// How long a program may take to end after it was asked to, and after it was killed.
const (
	stopTimeout = 10 * time.Second
	askAgain    = time.Second // a program that is still starting may not hear the first time
	killTimeout = 5 * time.Second
)

// process is a running program, the leader of a process group of its own. On Linux it dies with this process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
	err  error         // of Wait; read it after done
}

// startProcess starts cmd. The caller owns its standard streams.
func startProcess(cmd *exec.Cmd) (*process, error) {
	isolate(cmd)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the parent death signal when the thread that forked ends, so that thread must last as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// exited says whether the program has ended.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the end of the program.
func (p *process) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// stop asks the program to end and kills its group if it does not.
func (p *process) stop() error {
	if p.exited() {
		return nil
	}
	for asked := time.Duration(0); asked < stopTimeout; asked += askAgain {
		if err := terminate(p.cmd); err == nil && p.wait(askAgain) || p.exited() {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("%s did not end within %v and was killed", p.cmd.Path, stopTimeout), p.kill())
}

// kill ends the program and its children without warning.
func (p *process) kill() error {
	if p.exited() {
		return nil
	}
	if err := killGroup(p.cmd); err != nil && !p.exited() {
		return fmt.Errorf("killing %s: %w", p.cmd.Path, err)
	}
	if !p.wait(killTimeout) {
		return fmt.Errorf("%s survived being killed", p.cmd.Path)
	}
	return nil
}

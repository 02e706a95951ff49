package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// A Usage is how much CPU a process has used, user and system time together.
type Usage struct {
	Name string
	CPU  time.Duration

	process procfs.Proc
}

// ParseProcesses finds the processes of "NAME=PID,NAME=PID", which only Linux shows.
func ParseProcesses(text string) ([]Usage, error) {
	var all []Usage
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		pid, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%q is not NAME=PID", part)
		}
		u, err := usageOf(name, pid)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// usageOf finds a process, of which nothing is known yet.
func usageOf(name string, pid int) (Usage, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Usage{}, fmt.Errorf("%s: %w", name, err)
	}
	return Usage{Name: name, process: p}, nil
}

// measure returns what the processes have used until now.
func measure(all []Usage) ([]Usage, error) {
	now := make([]Usage, len(all))
	for i, u := range all {
		stat, err := u.process.Stat()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.Name, err)
		}
		now[i] = Usage{Name: u.Name, CPU: time.Duration(stat.CPUTime() * float64(time.Second)), process: u.process}
	}
	return now, nil
}

// since returns what has been used between two measurements.
func since(before, after []Usage) []Usage {
	used := make([]Usage, len(after))
	for i := range after {
		used[i] = Usage{Name: after[i].Name, CPU: after[i].CPU - before[i].CPU}
	}
	return used
}

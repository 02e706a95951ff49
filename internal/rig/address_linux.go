package rig

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// reserve binds a TCP socket to a free port without listening on it. As long as it stays open, only a bind to that very port
// with SO_REUSEADDR succeeds; a connection attempt is refused as on a closed port.
func reserve(ip string) (port int, release func(), err error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is4() {
		return 0, nil, fmt.Errorf("%q is no IPv4 address", ip)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	fail := func(call string, err error) (int, func(), error) {
		syscall.Close(fd)
		return 0, nil, os.NewSyscallError(call, err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return fail("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: addr.As4()}); err != nil {
		return fail("bind", err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return fail("getsockname", err)
	}
	return bound.(*syscall.SockaddrInet4).Port, func() { syscall.Close(fd) }, nil
}

//go:build !linux

package rig

import "net"

// reserve finds a port that is free now; see FreeAddr for what that means.
func reserve(ip string) (port int, release func(), err error) {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return 0, nil, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, func() {}, nil
}

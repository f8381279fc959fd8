package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// listenTCP listens; its errors say what to do. setting names the flag or
// field that the address came from.
func listenTCP(ctx context.Context, address, setting string) (net.Listener, error) {
	if err := checkAddress(address, setting); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, explainListen(err, "TCP", address, setting)
	}
	return ln, nil
}

// listenLoopback listens on this machine alone: on both loopback addresses
// where localhost is asked for.
func listenLoopback(ctx context.Context, address, setting string) ([]net.Listener, error) {
	if err := checkAddress(address, setting); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	if host == "localhost" {
		first, err := listenTCP(ctx, net.JoinHostPort("127.0.0.1", port), setting)
		if err != nil {
			return nil, err
		}
		_, port, _ = net.SplitHostPort(first.Addr().String())
		second, err := listenTCP(ctx, net.JoinHostPort("::1", port), setting)
		if errors.Is(err, errInUse) {
			_ = first.Close()
			return nil, err
		}
		if err != nil {
			return []net.Listener{first}, nil // a machine without IPv6
		}
		return []net.Listener{first, second}, nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s would be reachable from elsewhere without encryption; use localhost:%s with %s, and %s for others", address, port, setting, "--listen")
	}
	ln, err := listenTCP(ctx, address, setting)
	if err != nil {
		return nil, err
	}
	return []net.Listener{ln}, nil
}

// checkMedia finds out whether a router's media port is free.
func checkMedia(ctx context.Context, address string, tcp bool, setting string) error {
	if err := checkUDP(ctx, address, setting); err != nil || !tcp {
		return err
	}
	ln, err := listenTCP(ctx, address, setting)
	if err != nil {
		return err
	}
	return ln.Close()
}

// checkUDP finds out whether a UDP port is free. The router shares its port
// among sockets of its own, so that the system would let two routers share it
// unnoticed.
func checkUDP(ctx context.Context, address, setting string) error {
	if err := checkAddress(address, setting); err != nil {
		return err
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return explainListen(err, "UDP", address, setting)
	}
	return c.Close()
}

// checkAddress checks the form of HOST:PORT.
func checkAddress(address, setting string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on; write :PORT or HOST:PORT with %s", address, setting)
	}
	return nil
}

// explainListen says in a sentence why a port could not be had.
func explainListen(err error, network, address, setting string) error {
	host, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, errInUse):
		return fault{err, fmt.Sprintf("%s port %s is taken by another program; stop that, or use another port with %s", network, port, setting)}
	case errors.Is(err, errNotOurs):
		return fault{err, fmt.Sprintf("%s is not an address of this machine; use one of its own with %s, or :%s for all of them", host, setting, port)}
	case errors.Is(err, errForbidden):
		return fault{err, fmt.Sprintf("%s port %s may not be opened by this user; use a port above 1023 with %s, or grant the right to", network, port, setting)}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fault{err, fmt.Sprintf("%s is not a known host; use an address of this machine with %s", host, setting)}
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// fault is an error told in a sentence of its own.
type fault struct {
	error
	sentence string
}

// Error gives the sentence.
func (f fault) Error() string { return f.sentence }

// Unwrap gives the error that the sentence tells of.
func (f fault) Unwrap() error { return f.error }

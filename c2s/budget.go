package c2s

import (
	"net/netip"
	"sync"
	"time"
)

// maxAddresses bounds the addresses whose failures are counted.
const maxAddresses = 65536

// A budget counts the sign-ins of each address that came to nothing in a minute.
type budget struct {
	limit int

	mu     sync.Mutex
	counts map[string]int
	since  time.Time
}

// key is the unit that is counted: an IPv4 address, or a network of 64 bits.
func key(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

// spent reports whether an address may not try again yet.
func (b *budget) spent(address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[key(address)] >= b.limit
}

// fail counts a failure.
func (b *budget) fail(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = make(map[string]int)
	}
	if k := key(address); len(b.counts) < maxAddresses || b.counts[k] > 0 {
		b.counts[k]++
	}
}

// sweep begins a new minute.
func (b *budget) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= time.Minute {
		b.since, b.counts = now, nil
	}
}

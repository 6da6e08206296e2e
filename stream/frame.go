package stream

import (
	"encoding/binary"
	"math/rand/v2"
)

// Opcodes of RFC 6455 §5.2.
const (
	wsContinue = 0x0
	wsText     = 0x1
	wsBinary   = 0x2
	wsClose    = 0x8
	wsPing     = 0x9
	wsPong     = 0xA
)

// Close codes of RFC 6455 §7.4.1.
const (
	wsNormal      = 1000
	wsProtocol    = 1002
	wsUnsupported = 1003
	wsNotUTF8     = 1007
)

// maxFrameHead is the longest head of a frame, maxControl the longest payload
// of a control frame.
const (
	maxFrameHead = 14
	maxControl   = 125
)

// mask is what a client's payloads are mixed with (RFC 6455 §5.3); on is false
// for a server's.
type mask struct {
	key [4]byte
	on  bool
}

// apply masks or unmasks b.
func (m mask) apply(b []byte) {
	if !m.on {
		return
	}
	half := binary.LittleEndian.Uint32(m.key[:])
	whole := uint64(half)<<32 | uint64(half)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^whole)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= m.key[i&3]
	}
}

// appendFrameHead appends the head of a frame that is a whole message with n
// bytes of payload, and gives the mask for them.
func appendFrameHead(dst []byte, op byte, n int, masked bool) ([]byte, mask) {
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	dst = append(dst, 0x80|op)
	switch {
	case n <= 125:
		dst = append(dst, bit|byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, bit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, bit|127), uint64(n))
	}
	m := mask{on: masked}
	if masked {
		binary.LittleEndian.PutUint32(m.key[:], rand.Uint32())
		dst = append(dst, m.key[:]...)
	}
	return dst, m
}

// appendFrame appends a whole frame.
func appendFrame(dst []byte, op byte, payload []byte, masked bool) []byte {
	dst, m := appendFrameHead(dst, op, len(payload), masked)
	at := len(dst)
	dst = append(dst, payload...)
	m.apply(dst[at:])
	return dst
}

// frameHead is the head of a frame that was read.
type frameHead struct {
	fin  bool
	op   byte
	size int // of the head
	n    int // of the payload
	mask mask
}

// parseFrameHead reads the head that b begins with; ok is false when it is cut.
func parseFrameHead(b []byte) (h frameHead, ok bool, err error) {
	if len(b) < 2 {
		return h, false, nil
	}
	if b[0]&0x70 != 0 {
		return h, false, &wsError{code: wsProtocol, text: "reserved bits are set"}
	}
	h = frameHead{fin: b[0]&0x80 != 0, op: b[0] & 0x0F, size: 2, n: int(b[1] & 0x7F), mask: mask{on: b[1]&0x80 != 0}}
	switch {
	case h.n == 126 && len(b) < 4, h.n == 127 && len(b) < 10:
		return h, false, nil
	case h.n == 126:
		h.size, h.n = 4, int(binary.BigEndian.Uint16(b[2:]))
		if h.n < 126 {
			return h, false, &wsError{code: wsProtocol, text: "length is not written shortest"}
		}
	case h.n == 127:
		n := binary.BigEndian.Uint64(b[2:])
		if n <= 0xFFFF || n >= 1<<62 {
			return h, false, &wsError{code: wsProtocol, text: "length is not written shortest, or too great"}
		}
		h.size, h.n = 10, int(n)
	}
	if h.mask.on {
		if len(b) < h.size+4 {
			return h, false, nil
		}
		copy(h.mask.key[:], b[h.size:])
		h.size += 4
	}
	return h, true, nil
}

// Package stanza holds message, presence and iq as views over bytes.
package stanza

// Limits bound what a peer may send. Zero fields take the defaults.
type Limits struct {
	Bytes int // of one first-level element; default 262,144
	Depth int // of nested elements; default 64
	Attrs int // of one element, declarations included; default 64
}

// SyntaxError is a document that is refused; Condition is a stream error
// condition (RFC 6120 §4.9.3).
type SyntaxError struct{ Condition, Text string }

// Error says condition and text.
func (e *SyntaxError) Error() string { return e.Condition + ": " + e.Text }

// Scanner frames and validates one first-level element at a time.
type Scanner struct{ scope *Scope }

// Package stanza holds message, presence and iq as views over bytes.
//
// A Scanner frames and validates one first-level element in a single pass that
// can stop at any byte and go on later. What it accepts is well-formed XML 1.0
// with namespaces, in UTF-8, without document type, processing instruction and
// comment (RFC 6120 §11.1). Nothing is unpacked: a Stanza and an Element are
// offsets into the scanned bytes, and text is decoded when someone asks.
//
// Layout: scanner.go is the loop and its state, text.go character data, tag.go
// tags, names.go which bytes a name may have, namespace.go declarations;
// element.go and stanza.go are the views; wire.go makes what goes out, a Wire,
// which is a document of its own; xml.go writes what the server says itself;
// error.go and reply.go are RFC 6120 §8.3 and §8.2.3.
//
// There are no locks: a Scanner and the views it gives belong to one goroutine,
// a Wire is not changed after it was made and may be shared.
package stanza

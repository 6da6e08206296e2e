package stanza

import "bytes"

// Kind is which of the three stanzas it is (RFC 6120 §8.2).
type Kind uint8

// The three stanzas.
const (
	Message Kind = iota
	Presence
	IQ
	Nonza // an element on its way to a peer that is no stanza
)

// String is the element's name: message, presence or iq; "" for Nonza.
func (k Kind) String() string {
	switch k {
	case Message:
		return "message"
	case Presence:
		return "presence"
	case IQ:
		return "iq"
	default:
		return ""
	}
}

// Type is the value of a stanza's type attribute (RFC 6120 §8.2.3, RFC 6121
// §4.7.1 and §5.2.2).
type Type uint8

// The types of the RFCs. Normal is a message without type, Available a
// presence without type. Unknown is any other value, and an iq without type.
const (
	Normal Type = iota
	Chat
	Groupchat
	Headline
	Available
	Unavailable
	Subscribe
	Subscribed
	Unsubscribe
	Unsubscribed
	Probe
	Get
	Set
	Result
	ErrorType
	Unknown
)

// String is the attribute's value; "" for Available and Unknown.
func (t Type) String() string {
	switch t {
	case Normal:
		return "normal"
	case Chat:
		return "chat"
	case Groupchat:
		return "groupchat"
	case Headline:
		return "headline"
	case Unavailable:
		return "unavailable"
	case Subscribe:
		return "subscribe"
	case Subscribed:
		return "subscribed"
	case Unsubscribe:
		return "unsubscribe"
	case Unsubscribed:
		return "unsubscribed"
	case Probe:
		return "probe"
	case Get:
		return "get"
	case Set:
		return "set"
	case Result:
		return "result"
	case ErrorType:
		return "error"
	default:
		return ""
	}
}

// typeOf reads a type attribute; present says whether there was one.
func typeOf(k Kind, raw []byte, present bool) Type {
	if !present {
		switch k {
		case Message:
			return Normal
		case Presence:
			return Available
		default:
			return Unknown
		}
	}
	if bytes.IndexByte(raw, '&') >= 0 { // a recipient reads it decoded, and so must we
		raw = appendDecoded(nil, raw, true)
	}
	switch k {
	case Message:
		return messageType(raw)
	case Presence:
		return presenceType(raw)
	default:
		return iqType(raw)
	}
}

func messageType(raw []byte) Type {
	switch string(raw) {
	case "chat":
		return Chat
	case "normal":
		return Normal
	case "groupchat":
		return Groupchat
	case "headline":
		return Headline
	case "error":
		return ErrorType
	}
	return Unknown
}

func presenceType(raw []byte) Type {
	switch string(raw) {
	case "unavailable":
		return Unavailable
	case "subscribe":
		return Subscribe
	case "subscribed":
		return Subscribed
	case "unsubscribe":
		return Unsubscribe
	case "unsubscribed":
		return Unsubscribed
	case "probe":
		return Probe
	case "error":
		return ErrorType
	}
	return Unknown
}

func iqType(raw []byte) Type {
	switch string(raw) {
	case "get":
		return Get
	case "set":
		return Set
	case "result":
		return Result
	case "error":
		return ErrorType
	}
	return Unknown
}

package cluster

import "strconv"

// A Transport carries frames between nodes. It may lose, double and reorder
// them; it must not change them. It is what NATS offers to a client: subjects
// of words joined by dots, where a listener may put * for one word, and sending
// that returns before anybody has received.
type Transport struct {
	// Send gives a frame to all who listen on subject. It must not wait for
	// them; a frame that finds no room is lost, or refused with an error,
	// which comes to the same. The frame belongs to the transport.
	Send func(subject string, frame []byte) error
	// Listen has receive called with each frame on subjects that match, until
	// stop is called. The frame belongs to the receiver, who may share it
	// with others and must not change it. A transport may call receive from
	// any goroutine, and must not do so from within Send.
	Listen func(subject string, receive func(frame []byte)) (stop func(), err error)
}

// Subjects: what a node tells everybody, and what is meant for one node. Hash
// shards, when there are any, are a third: "bearhug.shard.N".
const (
	subjectAll = "bearhug.from.*"
	from       = "bearhug.from."
	to         = "bearhug.to."
)

func subjectFrom(n Node) string { return from + strconv.Itoa(int(n)) }
func subjectTo(n Node) string   { return to + strconv.Itoa(int(n)) }

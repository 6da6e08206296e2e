// Package stream is the XML stream: RFC 6120 §4 over TCP and TLS, RFC 7395 over
// WebSocket, both ends.
//
// A Framer cuts bytes into Items: header, stanzas, other elements, end. A Conn
// is the transport of one stream. A Poller waits for all of them: an idle
// connection has no goroutine and no buffer.
//
// Layout: framer.go and header.go read and write what stands on a stream's first
// level; conn.go is what owners call, read.go what a worker does with a
// connection that is ready, close.go how it ends, tls.go the handshake;
// poller.go holds the epoll instance and the workers, sock.go the socket;
// websocket.go frames and frame.go their bytes; dial.go the connecting side.
//
// Order of locks: Conn.wmu, under which a failing write takes Conn.emu and then,
// one after the other, Poller.run.mu; a pong that is due takes wsState.mu. Those
// and Poller.mu are leaves. Who reads a Conn is settled by the bits of Conn.state: the one who set
// queued owns framer, part, ws and sock's reading half until it clears it.
package stream

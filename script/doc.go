// Package script parses, plays and records golden scripts: conversations of a few people with a server,
// written down as who sends what and who receives what, and kept in files *.scs.
//
// # A script
//
//	# RFC 6121 §8.5.2.1.1: a chat message to a bare JID reaches every resource of non-negative priority.
//	friends: Romeo Juliet
//	[Romeo]
//	[Juliet]
//		resource: balcony
//	[Phone]
//		account: juliet
//		transport: ws
//	---
//	Romeo connects
//	Juliet connects
//	Juliet is available
//
//	Romeo sends:
//		<message to='{juliet}' type='chat' id='m1'><body>hail</body></message>
//	Juliet receives:
//		<message from='{romeo.full}' to='{juliet}' type='chat' id='m1'><body>hail</body><s:id/></message>
//	Romeo receives nothing
//
// A line whose first character is '#' is a comment; the first comment says which section the script shows. What
// stands before the line of dashes is the header, the rest is the play. A line that begins in the first column is
// a header entry or a statement; indented lines below it are its options or its block.
//
// # Header
//
//	server: KEY = VALUE     an option the server must run with (dotted names of bearhug.toml);
//	                        scripts with equal options share a server
//	friends: A B            A and B see each other's presence (subscription 'both') before the play begins
//	sees: A B               A sees B's presence (A has 'to', B has 'from')
//	[Name]                  a person: one connection. Options, all optional:
//	  account: LOCAL        local part, by default the name in lower case; '-' when there is none
//	  exists: yes|no        whether the account is made before the play, default yes
//	  host: 1|2             which of the script's two organisations, default 1
//	  password: TEXT        what this person says; the account's own is always right unless this is given
//	  token: any|only NAME  signs in with a bearer token; the second kind is good for talking to NAME only
//	  resource: TEXT        asked for at bind; none by default: the server makes one
//	  transport: tcp|starttls|tls|ws|wss    default tcp: STARTTLS only where the server insists
//	  mechanism: NAME       the only SASL mechanism to use
//	  sm: yes               enables XEP-0198 after bind, answers <r/>, keeps <r/> and <a/> out of sight
//	  lang: TAG             xml:lang of the stream header
//	  declares: PREFIX=NS   a namespace declared by the stream header
//
// Every play gets fresh organisations, so scripts do not disturb each other.
//
// # Statements
//
//	X dials                       a transport and nothing more; stream headers are received like elements
//	X opens a stream              … and exchanges stream headers and features
//	X starts TLS                  the TLS handshake, after <proceed/>
//	X restarts the stream         a new stream header on the same connection, and its features
//	X signs in                    … up to the features after SASL
//	X connects                    … and binds a resource (and enables stream management where asked)
//	X binds                       what connects does after signs in
//	X fails to sign in with COND  the same as signs in, but SASL fails with this condition; the connection is dropped
//	X fails to resume with COND   the same as resumes, but the answer is <failed/> with this condition
//	X is available [with priority N]   sends presence and takes its own copy of it
//	X meets Y                     each takes the other's available presence, whatever is in it
//	X sends:                      elements of the block, each as it stands
//	X sends bytes:                lines of Go strings, each "…" or N * "…", joined
//	X receives:                   the next elements are these, in this order
//	X receives in any order:      the next elements are these, in some order
//	X receives nothing            proven by round trips, see below
//	X is offered:                 the last stream features hold these (among others)
//	X is not offered:             … hold none of these
//	X is closed [with COND]       the next thing is the end of the stream, after this stream error; without COND after
//	                              any or none
//	X disconnects                 closes the stream, waits for the server to do the same
//	X cuts                        drops the connection without a word
//	X resumes                     XEP-0198 resumption on a new connection, unacknowledged stanzas sent again
//	X notes ID                    remembers the XEP-0198 SM-ID of the session as {ID}
//
// Stream management by hand (a person without "sm: yes" who sends <enable/>): <r/> is never seen, and <a/> only where
// one is stated, for servers send both when they think fit.
//
//	Server restarts
//	Operator runs:                operations of the control socket, one in each line of the block, as OP KEY=VALUE…;
//	                              a value with commas is a list where the operation wants one; "! " before one
//	                              that must be refused
//
// "Receives nothing" never waits for a clock. First everybody who is bound sends a headline to their own full JID
// and takes it back: a server keeps the order of what one stream sent, so by then all their stanzas have
// arrived. Then X does the same, and nothing may stand before X's own headline. The same proof is made for
// everybody connected when the play ends: whatever was not stated is a failure.
//
// # Variables
//
// {host}, {host2}: the organisations. {romeo}: the bare JID of the person Romeo; {romeo.full}: the full JID once
// bound; {romeo.resource}. {self}, {self.full}: those of whom the statement is about. In what is received an
// unknown {name} takes whatever stands there, at least one character, and is known from then on. {any} takes
// anything and remembers nothing, {time} a XEP-0082 UTC time, {number} decimal digits. Part of a value may be
// written out: 'page-{n}'. A brace is written {{.
//
// # Comparison
//
// Elements are compared as XML: order of attributes, prefixes and white space between elements do not count;
// character data does, to the byte. Children must be the same, in order. The default namespace is jabber:client,
// the prefix stream is bound, and s to the marks:
//
//	...                       as character data between children: any further children may stand here
//	s:order='any'             the children may come in any order
//	s:attrs='any'             further attributes are allowed
//	s:optional='a b'          these attributes may be missing; where present they must be as written, if written
//	s:maybe='yes'             this element may be missing
//	<s:id/>                   the XEP-0359 stanza-id that the receiver's account gives; <s:id as='name'/> keeps it
//	<s:delay/>                a XEP-0203 delay
//	<s:error type='cancel' condition='conflict'/>   a stanza error, RFC 6120 §8.3
//
// Where the RFCs leave a server free the comparison is free too: on the outer element an id that is not written
// does not count; a 'to' that is not written may be missing or name the receiver; a 'from' that is not written
// may be missing or be the receiver's own bare JID; and where one is written that means just that, it may be missing on presence
// (to) and iq (to, from). A stanza error may carry a text, a 'by', and the stanza it is about. A message type of
// 'normal' is the same as none.
package script

package overload

// A Class says how much something matters when not everything can be done:
// what matters least waits, or is refused, first.
type Class uint8

// The classes, what matters most first.
const (
	Care     Class = iota // crisis and care: messages between people joined by a relation flagged care, and about an open case
	Return                // people who come back: resumption, sign-in of those who are known or have a care relation, pings
	Chat                  // conversations: with the bot, and of people among themselves
	History               // reading back: archive, search, profiles, uploads
	SignUp                // people who were never here
	Presence              // who is here, typing, receipts
	Report                // dashboards, exports
	Outreach              // invitations, scoring
	Classes  = 8          // how many there are
)

// Felt reports whether people who talk feel it when the class waits: classes 0
// to 2. The pressure is of these.
func (c Class) Felt() bool { return c <= Chat }

// String is a word, as it stands in figures.
func (c Class) String() string {
	if c >= Classes {
		return "unknown"
	}
	return [Classes]string{"care", "return", "chat", "history", "sign-up", "presence", "report", "outreach"}[c]
}

// A Matter is what somebody wants, as far as its class depends on it.
type Matter uint8

// The matters.
const (
	Talk        Matter = iota // a message that says something
	Sign                      // a message that says nothing: typing, receipts, markers
	Resumption                // of a session that was cut
	SignIn                    // of somebody who has been here lately
	FirstSignIn               // of somebody who has not
	Keeping                   // what holds a stream together: pings, the roster at the sign-in, carbons, blocking
	Reading                   // requests for what is kept, and what a module answers
	Uploading                 // of files
	Register                  // making an account
	Showing                   // presence, and who is on the screen
	Reporting                 // dashboards and exports
	Inviting                  // an invitation or a reminder in chat
	Scoring                   // of answers
	matters
)

// Class is the class of a matter. care says that the two people concerned are
// joined by a relation flagged care, or that it is about an open case: it
// raises what they say to each other and their sign-in, nothing else.
func (m Matter) Class(care bool) Class {
	switch m {
	case Talk:
		if care {
			return Care
		}
		return Chat
	case Resumption, SignIn, Keeping:
		return Return
	case FirstSignIn:
		if care {
			return Return
		}
		return SignUp
	case Reading, Uploading:
		return History
	case Register:
		return SignUp
	case Sign, Showing:
		return Presence
	case Reporting:
		return Report
	}
	return Outreach
}

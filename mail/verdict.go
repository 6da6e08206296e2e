package mail

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// judge decides between hard and soft, and which status is the true one. In
// doubt it is soft, for a hard one ends all mail to the person.
func judge(status, words string) (BounceKind, string) {
	found, best := weigh(status, words)
	if found == dead {
		return Hard, best
	}
	return Soft, best
}

// A finding is what status and words tell of the address.
type finding uint8

const (
	unclear finding = iota
	alive           // something else is wrong
	dead            // there is no such mailbox or domain
)

// weigh looks for what is wrong: the address, or something else. The status is
// the one of the report's field; the words may hold another.
func weigh(status, words string) (finding, string) {
	said := statusIn(words)
	best := status
	// Many write x.0.0 into the field, or 5.1.1 for everything; what the other
	// server said is nearer to the truth.
	if said != "" && (status == "" || strings.HasSuffix(status, ".0.0") || !deadStatus(said)) {
		best = said
	}
	plain := plainWords(words)
	if code := replyCode.FindStringSubmatch(words); code != nil && code[1][0] == '4' {
		return alive, best
	}
	for _, s := range [...]string{status, said} {
		if s != "" && !deadStatus(s) && !openStatus(s) {
			return alive, best
		}
	}
	switch {
	case contains(plain, softSigns[:]), contains(strings.ToLower(words), listed[:]):
		return alive, best
	case deadStatus(status), deadStatus(said), contains(plain, hardSigns[:]), noAccount.MatchString(plain):
		return dead, best
	}
	return unclear, best
}

// deadStatus: by itself it says that there is no such mailbox or domain
// (RFC 3463 §3.2; 5.1.10: RFC 7505; 5.4.310: Exchange Online). A disabled
// mailbox (5.2.1) may be a person on leave.
func deadStatus(s string) bool {
	switch s {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.4.310":
		return true
	}
	return false
}

// openStatus: it says nothing; the words decide.
func openStatus(s string) bool {
	switch s {
	case "5.0.0", "5.1.0", "5.2.1", "5.3.0", "5.4.0", "5.4.4", "5.5.0":
		return true
	}
	return false
}

// softSigns say that the address may be right, whatever the status claims: what
// is wrong is the mailbox's state, this message, its sender, or the network.
var softSigns = [...]string{
	// the mailbox
	"mailbox full", "mailbox is full", "mailbox for user is full", "inbox full", "inbox is full", "quota", "storage",
	"disabled", "inactive", "suspended", "deactivated", "not active", "size limit", "exceed", "too busy", "locked",
	"postfach voll", "postfach ist voll", "postfach des empfängers ist voll", "mailbox voll", "mailbox is vol", "postvak is vol", "postbus is vol", "pleine",
	// the moment
	"greylist", "graylist", "grey-list", "grey list", "try again", "try later", "temporar", "timed out", "timeout", "connection refused", "deferred", "in progress",
	"unverified", "expired", "too many", "rate limit", "throttl", "loop", "hop count", "später erneut", "vorübergehend", "tijdelijk",
	// this message
	"spam", "virus", "malware", "phish", "infected", "content", "too large", "too big", "too long", "maximum size", "message size", "maximum message",
	"attachment", "encoding", "smtputf8", "bulk",
	// who sends it
	"sender", "dmarc", "spf ", "dkim", "authenticat", "reputation", "policy", "policies", "blacklist", "blocklist", "black list", "block list", "blocked", "dnsbl", "rbl",
	"denied", "not allowed", "not permitted", "not authorized", "not authorised", "prohibit", "forbidden", "relay", "restricted", "your ip",
	"previously bounced", "suppress", "mail from", "absender", "preferences", "refused due to", "permission", "may not", "autoris", "spamhaus", "spamcop",
	// the other side's machine
	"procmail", "maildrop", "couldn't create", "can't create", "command ",
}

// hardSigns say that there is no such mailbox.
var hardSigns = [...]string{
	"user unknown", "unknown user", "no such user", "no such recipient", "no such mailbox", "no such account", "no such address", "no such local",
	"no such person", "no such domain", "mailbox not found", "not a known user",
	"not a valid mailbox", "not a valid user", "not a valid recipient", "is not known", "recipient not found", "user not found", "address not found", "account not found",
	"recipnotfound", "recipientnotfound", "unknown recipient", "recipient unknown", "unknown address", "address unknown", "unknown mailbox", "unknown account",
	"invalid recipient", "invalid mailbox", "invalid user", "invalid address", "bad address", "no mailbox here", "no mailbox by that name", "not listed in",
	"wasn't found at", "couldn't be found", "could not be found", "unable to find recipient", "no longer on server",
	"host not found", "host unknown", "unknown host", "domain not found", "unknown domain", "nxdomain", "find any host named",
	"empfänger unbekannt", "empfängeradresse unbekannt", "benutzer unbekannt", "unbekannter benutzer", "unbekannter empfänger", "existiert nicht",
	"konnte nicht gefunden werden", "adresse unbekannt",
	"onbekende gebruiker", "gebruiker onbekend", "ontvanger onbekend", "adres onbekend", "bestaat niet", "niet gevonden",
	"utilisateur inconnu", "destinataire inconnu", "adresse inconnue", "n'existe pas", "пользователь не найден",
}

// noAccount: "This user doesn't have a … account", "mailbox … does not exist".
var noAccount = regexp.MustCompile(`user (?:doesn't|does not) have an? (?:\S+ ){0,2}account|` +
	`\b(?:user|mailbox|account|recipient|address|domain|person)\b.{0,80}\b(?:does not|doesn't|do not|did not) exist|no (?:mailbox|user|account|recipient) .{0,20}exists?`)

// listed are signs that count in names too: a page that says why.
var listed = [...]string{"spamhaus", "spamcop", "barracudacentral", "sorbs.net", "dnsbl"}

func contains(words string, signs []string) bool {
	for _, sign := range signs {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}

// plainWords are the words without names: of hosts, addresses, pages. A server
// called antispam.example refuses an unknown user like any other.
func plainWords(s string) string {
	words := strings.Fields(strings.ToLower(strings.ReplaceAll(s, "’", "'")))
	kept := words[:0]
	for _, w := range words {
		inner := strings.Trim(w, ".,;:!?()[]<>\"'")
		if named := strings.ContainsAny(inner, "@/.") && strings.ContainsAny(inner, "abcdefghijklmnopqrstuvwxyz"); !named {
			kept = append(kept, w)
		} else if strings.HasPrefix(inner, "resolver.") {
			kept = append(kept, w) // Exchange's own words
		}
	}
	return strings.Join(kept, " ") + " "
}

var (
	statusWord = regexp.MustCompile(`[245]\.\d{1,3}\.\d{1,3}`)
	// replyCode is the answer of a server, at the beginning or after what leads
	// to it.
	replyCode = regexp.MustCompile(`(?:^|said:? |returned:? ['"]?|<<< |: |#|\n[ \t]*)([45]\d\d)(?:[ -]|$)`)
)

// statusIn is the first enhanced status in the words that tells of a failure
// (RFC 3463 §2). A part of an address (192.0.2.5, 5.1.1.9) is none.
func statusIn(s string) string {
	for _, at := range statusWord.FindAllStringIndex(s, 32) {
		before, after := byte(' '), byte(' ')
		if at[0] > 0 {
			before = s[at[0]-1]
		}
		if at[1] < len(s) {
			after = s[at[1]]
		}
		if after == '.' && at[1]+1 < len(s) && '0' <= s[at[1]+1] && s[at[1]+1] <= '9' {
			continue
		}
		if wordByte(before) || before == '.' || wordByte(after) {
			continue
		}
		if word := s[at[0]:at[1]]; word[0] != '2' && validStatus(word) {
			return word
		}
	}
	return ""
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf || c == '_'
}

var (
	// delayed announces that it is tried on.
	delayed = regexp.MustCompile(`(?i)this is a warning (message )?only|you do not need to resend|(will|server will) (continue to |keep )(be |try)|` +
		`delivery (attempts will continue|(to [^\n]{0,200} )?(is|has been) delayed|delayed)|(not yet been|hasn't been|has not been) delivered( yet)?\b[^\n]{0,200}(yet|delivered)|not yet been delivered|no action is required on your part`)
	// undelivered is how a report begins.
	undelivered = regexp.MustCompile(`(?i)undeliver|non-?deliver|not delivered|(not|n't) (yet )?(be|been) (delivered|sent)|(unable|failed|wasn't able) to (deliver|send)|deliver[a-z]* (to [^\n]{0,200} )?(fail|has failed|error|problem|status)|` +
		`fail[a-z]* (to deliver|notice|deliver)|mail failure|returned (mail|to sender)|error has occurred while attempting to deliver|nicht zugestellt|unzustellbar|zustellung|onbestelbaar|niet (worden )?(afgeleverd|bezorgd)|trying to deliver|trouble delivering|error sending|returning to sender|не может быть доставлено|не доставлено|non remis|problem delivering`)
	// refusal is the line with the other server's answer.
	refusal = regexp.MustCompile(`(?m)\b[45]\d\d[ -](?:[45]\.\d{1,3}\.\d{1,3}\b|[A-Za-z#(<'])|(?:^|[ #(])[45]\.\d{1,3}\.\d{1,3}[ :)]`)
	// copyBegins is where the plain forms go on with our own message.
	copyBegins    = regexp.MustCompile(`(?im)^[ \t]*(?:-{2,}[ \t]*(?:below this line|this is a copy|the (?:headers?|body) of the original|original message|returned message|es folg|(?:[a-z]+ ){0,4}(?:copy|original|ursprüngliche)[^\n]{0,60})|below is a copy|possibly truncated original|original message (?:headers|follows)|return-path:|received: (?:from|by|\()|message-id:)`)
	failedAddress = regexp.MustCompile(`(?m)^[ \t]*[<"']?([^\s<>:"']+@[^\s<>:"']+\.[A-Za-z0-9-]+)[>"']?:?[ \t]*\r?$`)
	tag           = regexp.MustCompile(`<[^<>]{1,900}>`)
)

// readable is a text for people as UTF-8; a page loses its tags.
func readable(body []byte, kind string) string {
	s := string(body[:min(len(body), maxWords)])
	if !utf8.ValidString(s) && !utf8.ValidString(s[:max(0, len(s)-utf8.UTFMax)]) {
		var b strings.Builder // what it mostly is then: ISO 8859-1
		for i := range len(s) {
			b.WriteRune(rune(s[i]))
		}
		s = b.String()
	}
	if kind == "text/html" {
		s = tag.ReplaceAllString(s, " ")
	}
	return s
}

// partWords parts what the reporting system says from the copy of our message,
// whose words must not be taken for a reason.
func partWords(s string) (words, copied string) {
	if at := copyBegins.FindStringIndex(s); at != nil {
		return s[:at[0]], s[at[0]:]
	}
	return s, ""
}

// maxParagraphs is how many of the words are looked at.
const maxParagraphs = 200

// reasonsIn are the answers of other servers, each up to the end of its
// paragraph; else the paragraph that shows a reason; else the beginning. There
// is at least one.
func reasonsIn(words string) []string {
	var reasons []string
	paragraphs := strings.SplitN(strings.ReplaceAll(words, "\r\n", "\n"), "\n\n", maxParagraphs)
	for _, paragraph := range paragraphs {
		if at := refusal.FindStringIndex(paragraph); at != nil {
			reasons = append(reasons, oneLineOf(paragraph[at[0]:]))
		}
	}
	if len(reasons) > 0 {
		return reasons
	}
	for _, paragraph := range paragraphs {
		if plain := plainWords(paragraph[:min(len(paragraph), 4*maxReason)]); contains(plain, hardSigns[:]) || contains(plain, softSigns[:]) || noAccount.MatchString(plain) {
			return []string{oneLineOf(paragraph)}
		}
	}
	return []string{oneLineOf(words)}
}

// oneLineOf makes one line of at most maxReason bytes.
func oneLineOf(s string) string {
	s = s[:min(len(s), 8*maxReason)]
	s = strings.ToValidUTF8(strings.Join(strings.Fields(oneLine(s)), " "), "")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}

package stanza_test

import "strings"

// seeds are stanzas as clients send them, and nasty ones.
func seeds() []string {
	out := append([]string{}, realSeeds...)
	for _, s := range realSeeds { // as they stand in a WebSocket message
		for _, name := range []string{"message", "presence", "iq"} {
			if strings.HasPrefix(s, "<"+name) {
				out = append(out, "<"+name+" xmlns='jabber:client'"+s[1+len(name):])
			}
		}
	}
	out = append(out, nastySeeds...)
	out = append(out,
		"<message xmlns='jabber:client'>"+strings.Repeat("<a>", 63)+strings.Repeat("</a>", 63)+"</message>",
		"<message xmlns='jabber:client'>"+strings.Repeat("<a>", 64)+strings.Repeat("</a>", 64)+"</message>",
		"<a "+strings.Repeat("x", 500)+"='1'/>",
		"<a>&#"+strings.Repeat("0", 80)+"65;</a>",
		"<a>"+strings.Repeat("]", 50)+"</a>",
		"<a>"+strings.Repeat("ä", 50)+strings.Repeat("😀", 20)+"</a>",
	)
	return out
}

var realSeeds = []string{
	// Conversations
	`<message to="bob@example.org" type="chat" id="4f6c" from="alice@example.org/Conversations.abc"><body>Hi</body><active xmlns="http://jabber.org/protocol/chatstates"/><request xmlns="urn:xmpp:receipts"/><markable xmlns="urn:xmpp:chat-markers:0"/><origin-id xmlns="urn:xmpp:sid:0" id="4f6c"/></message>`,
	`<message id="e1" to="bob@example.org" type="chat"><encrypted xmlns="eu.siacs.conversations.axolotl"><header sid="123"><key prekey="true" rid="456">MwohB==</key><iv>AAECAwQF</iv></header><payload>0123+/=</payload></encrypted><store xmlns="urn:xmpp:hints"/><encryption xmlns="urn:xmpp:eme:0" name="OMEMO" namespace="eu.siacs.conversations.axolotl"/><body>I sent you an OMEMO encrypted message</body></message>`,
	`<presence><c xmlns="http://jabber.org/protocol/caps" hash="sha-1" node="https://conversations.im" ver="kXh+Z/nqyC9b5+XY="/><idle xmlns="urn:xmpp:idle:1" since="2024-01-01T00:00:00Z"/></presence>`,
	// Gajim
	`<iq xmlns="jabber:client" type="set" id="a-1"><query xmlns="jabber:iq:roster"><item jid="romeo@example.net" name="Rom&apos;eo &amp; co"><group>Friends</group></item></query></iq>`,
	`<message xmlns="jabber:client" xml:lang="en" to="bob@example.org" id="x" type="chat"><body>*bold* &lt;b&gt;</body><html xmlns="http://jabber.org/protocol/xhtml-im"><body xmlns="http://www.w3.org/1999/xhtml"><p>hi <strong>you</strong></p></body></html></message>`,
	// Dino
	`<iq type='get' id='ab1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info' node='http://dino.im#Q='/></iq>`,
	`<message to='room@conference.example.org' type='groupchat' id='g1'><body>hello&#10;world</body><reply xmlns='urn:xmpp:reply:0' to='room@conference.example.org/x' id='7'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='5'/></fallback></message>`,
	// profanity, libstrophe
	`<presence id="prof_presence_1"><priority>0</priority><show>away</show><status>Zur&#xFC;ck um 3</status></presence>`,
	`<iq id="ping" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`,
	// Converse.js, Strophe
	`<message from='alice@example.org/converse.js-1' id='x9' to='bob@example.org' type='chat' xmlns='jabber:client'><body>Привет 😀</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
	`<iq xmlns='jabber:client' type='set' id='mam1'><query xmlns='urn:xmpp:mam:2' queryid='q'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>50</max><before/></set></query></iq>`,
	// slixmpp
	`<message to="bob@example.org" type="chat" xml:lang="en"><thread>e0ffe42b</thread><body>Wherefore art thou, Romeo?</body><body xml:lang="cs">Pro&#x10D;e&#x17D; jsi ty, Romeo?</body><subject>I implore you!</subject></message>`,
	// Jingle with several namespaces
	`<iq type='set' id='j1' to='bob@example.org/x'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='a'><content creator='initiator' name='0'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='96' name='opus' clockrate='48000' channels='2'><parameter name='minptime' value='10'/></payload-type><rtcp-mux/></description><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' pwd='as+d' ufrag='x'><fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>AA:BB</fingerprint></transport></content></jingle></iq>`,
	// vCard with binary
	"<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Peter Saint-Andre</FN><PHOTO><TYPE>image/jpeg</TYPE><BINVAL>\nR0lGODlh\nAQABAIAA\n</BINVAL></PHOTO></vCard></iq>",
	// pubsub with its own prefixes
	`<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='1'><a:entry xmlns:a='http://www.w3.org/2005/Atom' xmlns:x='urn:x' x:y='1'><a:title>t</a:title><x:z/></a:entry></item></publish></pubsub></iq>`,
	`<presence type='subscribe' to='carol@example.org'/>`,
	`<presence type='unavailable'/>`,
	`<iq type='result' id='1'/>`,
	`<iq type='error' id='e'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
	`<r xmlns='urn:xmpp:sm:3'/>`,
	`<a xmlns='urn:xmpp:sm:3' h='4294967295'/>`,
	`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>`,
	`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`,
	`<inactive xmlns='urn:xmpp:csi:0'/>`,
}

var nastySeeds = []string{
	`<message xmlns='jabber:client' a="it's" b='say "x"'><body/></message>`,
	`<message xmlns='jabber:client' id='a&apos;b&quot;c&lt;&#65;&#x1F600;'/>`,
	"<message xmlns='jabber:client' id='tab\there\nline\r\nend'>\r\ntext\r</message>",
	`<message xmlns='jabber:client'><x xmlns=''><y/></x></message>`,
	`<message xmlns='jabber:client'><x xmlns='urn:a'><body xmlns='jabber:client'/><z/></x></message>`,
	`<message xmlns='jabber:client' xmlns:p='urn:head' p:a='1'><p:x/><p:y xmlns:p='urn:inner'><p:z/></p:y><p:w/></message>`,
	`<message xmlns='jabber:client'><p:x xmlns:p=''/></message>`,
	`<message xmlns='jabber:client'><p:x/></message>`,
	`<message xmlns='jabber:client' p:y='1'><q:x p:a='&lt;'/></message>`,
	`<message p:y='1'><q:x p:a='&lt;'/></message>`,
	`<message><stream:error/></message>`,
	`<message xmlns='jabber:client'><s:x xmlns:s='http://etherx.jabber.org/streams'/></message>`,
	`<message xmlns='jabber:client'><x xmlns='http://etherx.jabber.org/streams'/></message>`,
	`<message xmlns='jabber:client'><x xmlns='http://etherx.jabber.org/stream&#115;'/></message>`,
	`<message xmlns='jabber:client' xmlns:stream='urn:other'><stream:x/></message>`,
	`<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
	`<x:message xmlns:x='jabber:client'/>`,
	`<message xmlns='jabber:client'><a/>one<b/>two<c/>three</message>`,
	`<message xmlns='jabber:client'><a/><a/><a/><a/><a/><a/><a/><a/><b x='1'>t</b><c/></message>`,
	`<message xmlns='jabber:client'><![CDATA[<not> & a ]] tag]]><x><![CDATA[]]]]></x></message>`,
	`<message xmlns='jabber:client'><![CDATA[ü]]>]]&gt;</message>`,
	`<a>]]></a>`, `<a>]]</a>`, `<a>]</a>`, `<a b=']]>'/>`,
	`<a><![CDATA[x]]</a>`, `<a><![CDATA]]></a>`, `<a><!-- c --></a>`, `<a><?pi?></a>`, `<!DOCTYPE a><a/>`,
	`<?xml version='1.0'?><a/>`, `<a/><!-- c -->`, `<a/> `, `<a/><b/>`, `<a`, `<a>`, `</a>`, `<`, `<>`, `< a/>`, `<a/ >`, `<a></a >`, `<a></ a>`, `<a></b>`,
	`<a b/>`, `<a b=/>`, `<a b=c/>`, `<a b='<'/>`, `<a b='>'/>`, `<a b='1'c='2'/>`, `<a b = "1"/>`, `<a b='1' b='2'/>`,
	`<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>`, `<a xmlns:p='u' xmlns:q='v' p:x='1' q:x='2' x='3'/>`,
	`<a xmlns:p='u&amp;' xmlns:q='u&#38;' p:x='1' q:x='2'/>`,
	`<a xmlns:p='u' xmlns:p='v'/>`, `<a xmlns='u' xmlns='v'/>`,
	`<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>`, `<a xmlns:xml='urn:x'/>`, `<a xmlns:x='http://www.w3.org/XML/1998/namespace'/>`,
	`<a xmlns='http://www.w3.org/XML/1998/namespace'/>`, `<a xmlns:xmlns='urn:x'/>`, `<a xmlns:x='http://www.w3.org/2000/xmlns/'/>`,
	`<a xmlns='http://www.w3.org/2000/xmlns/'/>`, `<xmlns:a/>`, `<xml:a/>`, `<a xml:lang='en' xml:foo='1'/>`, `<a xmlns:x='http://www.w3.org/XML/1998/namespac&#101;'/>`,
	`<a:b:c/>`, `<:a/>`, `<a:/>`, `<a :b='1'/>`, `<a xmlns:='u'/>`, `<a xmlns:1='u'/>`, `<a 1='u'/>`, `<1a/>`, `<-a/>`, `<a.b-c_1/>`, `<_/>`,
	`<ä/>`, `<aä ö='1'/>`, "<a\u0300/>", "<\u0300/>", "<a\u00b7/>", "<\U00010000/>", "<a\u2180/>", "<a:\u00e9 xmlns:a='u'/>",
	"<a>\xff</a>", "<a>\xc3</a>", "<a>\xc0\x80</a>", "<a>\xed\xa0\x80</a>", "<a>\xef\xbf\xbe</a>", "<a>\xef\xbf\xbf</a>", "<a>\xf4\x90\x80\x80</a>", "<a>\xf4\x8f\xbf\xbf</a>",
	"<a>\x00</a>", "<a>\x01</a>", "<a>\x7f</a>", "<a>\x0b</a>", "<a b='\x1f'/>", "<a b='\xc3\x28'/>", "<a\x0c/>", "<a\u0085/>",
	`<a>&amp;&lt;&gt;&quot;&apos;</a>`, `<a>&foo;</a>`, `<a>&</a>`, `<a>&;</a>`, `<a>&#;</a>`, `<a>&#x;</a>`, `<a>&#0;</a>`, `<a>&#x1F;</a>`, `<a>&#xD800;</a>`, `<a>&#xFFFE;</a>`,
	`<a>&#x110000;</a>`, `<a>&#9999999999999999999999;</a>`, `<a>&#x10FFFF;</a>`, `<a>&#X41;</a>`, `<a>&#65</a>`, `<a>&amp</a>`, `<a>& amp;</a>`, `<a b='&#10;&#x9;'/>`, `<a b='&lt'/>`,
	`<a xmlns='urn:with space'/>`, `<a xmlns='urn:&#32;x'/>`, `<a xmlns='urn:ü'/>`, `<a xmlns:p='{x}'/>`,
	`<a><b xmlns='u'><c xmlns=''/></b></a>`, `<p:a xmlns:p='u'><b/></p:a>`, `<p:a xmlns:p='u'></p:a>`, `<p:a xmlns:p='u'></q:a>`, `<p:a xmlns:p='u' xmlns:q='u'></q:a>`,
	`<message xmlns='jabber:client' type='chat' type='normal'/>`, `<message xmlns='jabber:client' from='x' to='y' xml:lang=''/>`,
	`<message xmlns='jabber:client' xml:lang='fr'><body xml:lang='de'>x</body><private xmlns='urn:xmpp:carbons:2'/></message>`,
	`<message xmlns="jabber:clien&#116;"><body/></message>`,
	`<message xmlns='jabber:client' ><body>a</body ><x /></message >`,
	"<message\nxmlns='jabber:client'\r\n\tid\n=\n'1'\n><body\n>a</body\n></message\n>",
}

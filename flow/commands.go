package flow

import "strings"

// A command is something that may be written at any time in place of an
// answer. It counts when it is the whole message, in any of the languages.
type command uint8

const (
	noCommand command = iota
	skip
	edit
	remind
	stop
	help
	person
	proceed
	inEnglish
	inGerman
	inDutch
)

// String says what the command is for, after "to".
func (c command) String() string {
	return [...]string{"do nothing", "skip a question", "edit an answer", "be reminded", "stop", "get help", "call a person", "continue", "change to English", "change to German", "change to Dutch"}[c]
}

// strict are the words that count even where any words may be an answer.
var strict = commandTable([]saying{
	{skip, "skip|skip this question|uberspringen|frage uberspringen|diese frage uberspringen|overslaan|sla over|vraag overslaan|deze vraag overslaan"},
	{edit, "edit my last answer|edit last answer|change my last answer|meine letzte antwort andern|letzte antwort andern|letzte antwort bearbeiten|mijn laatste antwoord wijzigen|wijzig mijn laatste antwoord|laatste antwoord wijzigen|mijn laatste antwoord aanpassen"},
	{remind, "remind me tomorrow|morgen erinnern|erinnere mich morgen|erinnern sie mich morgen|herinner me morgen|herinner mij morgen|herinner me er morgen aan"},
	{stop, "stop|stopp|unsubscribe|abmelden|afmelden"},
	{help, "help|hilfe|hulp"},
	{person, "person|human|mensch|mens|talk to a person|speak to a person|talk to a human|mit einem menschen sprechen|met een mens praten|ik wil met een mens praten"},
})

// wide are more ways to say it that count where the words are no answer.
var wide = commandTable([]saying{
	{skip, "pass|next|next question|i dont want to answer|id rather not say|rather not say|prefer not to say|no answer|no comment|weiss nicht|weiss ich nicht|keine angabe|keine antwort|nachste frage|nachste|mochte ich nicht sagen|auslassen|weet ik niet|weet niet|geen antwoord|volgende|volgende vraag|zeg ik liever niet|wil ik niet zeggen|dont know|i dont know|not sure|skip it|skip that|skip this"},
	{edit, "edit|edit answer|edit my answer|change|change answer|change my answer|back|go back|undo|correct my answer|andern|antwort andern|meine antwort andern|bearbeiten|antwort bearbeiten|zuruck|korrigieren|ruckgangig|wijzig|wijzigen|antwoord wijzigen|mijn antwoord wijzigen|aanpassen|terug|ga terug|ongedaan maken"},
	{remind, "tomorrow|remind me|remind me later|later|not now|ask me tomorrow|ask me later|maybe later|morgen|spater|jetzt nicht|nicht jetzt|erinnern|erinnere mich|erinnern sie mich|erinnere mich spater|erinnern sie mich spater|frag mich morgen|fragen sie mich morgen|vielleicht spater|keine zeit|no time|geen tijd|niet nu|nu niet|straks|herinner me|herinner mij|herinner me later|vraag het morgen|misschien later"},
	{stop, "i want to stop|i would like to stop|id like to stop|stop it|stop this|stop asking|stop asking me|stop writing to me|leave me alone|quit|cancel|end|opt out|ich mochte aufhoren|ich will aufhoren|aufhoren|horen sie auf|hor auf|beenden|abbrechen|lassen sie mich in ruhe|keine fragen mehr|ich will nicht mehr|ich mochte nicht mehr|ik wil stoppen|ik wil ermee stoppen|stoppen|stop ermee|hou op|houd op|beeindigen|annuleren|laat me met rust|geen vragen meer|ik wil niet meer"},
	{help, "help me|i need help|what can i do|what can i say|commands|info|ich brauche hilfe|was kann ich tun|helfen sie mir|befehle|ik heb hulp nodig|wat kan ik doen|help mij|opdrachten"},
	{person, "a person|a human|someone|a real person|real person|talk to someone|speak to someone|i want to talk to someone|i want to talk to a person|i want to talk to a human|ein mensch|mit jemandem sprechen|ich mochte mit jemandem sprechen|ich mochte mit einem menschen sprechen|ich will mit jemandem sprechen|mit jemandem reden|echter mensch|een mens|met iemand praten|ik wil met iemand praten|iemand spreken|ik wil iemand spreken|echt mens"},
	{proceed, "continue|go on|resume|carry on|lets go on|weiter|weitermachen|fortsetzen|verder|ga verder|doorgaan|ga door|verdergaan"},
	{inEnglish, "english|in english|speak english|auf englisch|englisch|in het engels|engels"},
	{inGerman, "deutsch|auf deutsch|german|in german|in het duits|duits"},
	{inDutch, "nederlands|in het nederlands|dutch|in dutch|niederlandisch|auf niederlandisch"},
})

// slashed are short names for those who type commands.
var slashed = commandTable([]saying{
	{edit, "edit|back"}, {remind, "remind|tomorrow"}, {help, "help"}, {person, "person|human"}, {proceed, "continue"},
	{inEnglish, "en|english"}, {inGerman, "de|deutsch"}, {inDutch, "nl|nederlands"},
})

// polite words change no command.
var polite = wordSet("please|bitte|alsjeblieft|alstublieft|aub|thanks|thank you|danke|dank je|bedankt|ok|okay|sorry")

// A saying is a command and the ways to say it, folded.
type saying struct {
	command command
	words   string
}

func commandTable(from []saying) map[string]command {
	out := map[string]command{}
	for _, s := range from {
		for words := range strings.SplitSeq(s.words, "|") {
			out[words] = s.command
		}
	}
	return out
}

func wordSet(all string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Split(all, "|") {
		out[w] = true
	}
	return out
}

// strictCommand finds a command where any words may be an answer.
func strictCommand(folded string) command {
	if name, ok := strings.CutPrefix(folded, "/"); ok {
		if c := slashed[name]; c != noCommand {
			return c
		}
		if c := strict[name]; c != noCommand {
			return c
		}
		return wide[name]
	}
	if c := strict[folded]; c != noCommand {
		return c
	}
	return strict[spelledOut(folded)]
}

// wideCommand finds a command where it is clear that the words are no answer.
func wideCommand(folded string) command {
	if folded == "" {
		return noCommand
	}
	if c := strictCommand(folded); c != noCommand {
		return c
	}
	if c := wide[folded]; c != noCommand {
		return c
	}
	if c := wide[spelledOut(folded)]; c != noCommand {
		return c
	}
	words := strings.Fields(folded)
	if len(words) > 12 {
		return noCommand
	}
	left := strings.Join(without(words, polite), " ")
	if left == folded || left == "" {
		return noCommand
	}
	if c := strict[left]; c != noCommand {
		return c
	}
	return wide[left]
}

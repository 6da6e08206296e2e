package flow

import (
	"maps"
	"slices"
	"strings"
)

// The bot's own sentences: what it says when it is not the flow that speaks. A
// flow may replace each of them (phrases). German says Sie, Dutch je.

// phrases are the built-in sentences in English, German and Dutch. {min},
// {max} and {helplines} are filled in.
var phrases = map[string][3]string{
	"unclear_mood": {
		"I did not quite get that. Please choose one of the faces, or write a number from 1 (very bad) to 5 (very good).",
		"Das habe ich nicht ganz verstanden. Bitte wählen Sie eines der Gesichter oder schreiben Sie eine Zahl von 1 (sehr schlecht) bis 5 (sehr gut).",
		"Dat heb ik niet helemaal begrepen. Kies een van de gezichtjes, of schrijf een getal van 1 (heel slecht) tot 5 (heel goed)."},
	"unclear_scale": {
		"I did not quite get that. Please answer with a whole number from {min} to {max}.",
		"Das habe ich nicht ganz verstanden. Bitte antworten Sie mit einer ganzen Zahl von {min} bis {max}.",
		"Dat heb ik niet helemaal begrepen. Antwoord met een heel getal van {min} tot en met {max}."},
	"unclear_choice": {
		"I did not quite get that. Please choose one of the answers, or write its number.",
		"Das habe ich nicht ganz verstanden. Bitte wählen Sie eine der Antworten oder schreiben Sie ihre Nummer.",
		"Dat heb ik niet helemaal begrepen. Kies een van de antwoorden, of schrijf het nummer ervan."},
	"unclear_multi": {
		"I did not quite get that. Please write the numbers of the answers you choose, for example “1, 3”.",
		"Das habe ich nicht ganz verstanden. Bitte schreiben Sie die Nummern der Antworten, die Sie wählen, zum Beispiel „1, 3“.",
		"Dat heb ik niet helemaal begrepen. Schrijf de nummers van de antwoorden die je kiest, bijvoorbeeld ‘1, 3’."},
	"unclear_count": {
		"Please choose from {min} to {max} of the answers.",
		"Bitte wählen Sie {min} bis {max} der Antworten aus.",
		"Kies {min} tot {max} van de antwoorden."},
	"unclear_text": {
		"That message was empty. Please write your answer in your own words.",
		"Diese Nachricht war leer. Bitte schreiben Sie Ihre Antwort in eigenen Worten.",
		"Dat bericht was leeg. Schrijf je antwoord in je eigen woorden."},
	"offer": {
		"Sorry, I am only a program and I still do not understand. We can leave this question out (“skip”), or I can ask a person to read along (“person”).",
		"Entschuldigung, ich bin nur ein Programm und verstehe es immer noch nicht. Wir können diese Frage auslassen („überspringen“), oder ich bitte einen Menschen dazu („Mensch“).",
		"Sorry, ik ben maar een programma en begrijp het nog steeds niet. We kunnen deze vraag overslaan (‘overslaan’), of ik vraag een mens om mee te lezen (‘mens’)."},
	"cut": {
		"Thank you for writing so fully. I could keep the first {max} characters.",
		"Danke, dass Sie so ausführlich schreiben. Die ersten {max} Zeichen konnte ich festhalten.",
		"Dank je dat je zo uitgebreid schrijft. De eerste {max} tekens heb ik kunnen bewaren."},
	"required": {
		"Without this answer I cannot go on. If you would rather not, write “stop”, or “person” to talk to someone.",
		"Ohne diese Antwort komme ich nicht weiter. Wenn Sie lieber nicht möchten, schreiben Sie „stopp“, oder „Mensch“, um mit jemandem zu sprechen.",
		"Zonder dit antwoord kan ik niet verder. Wil je liever niet, schrijf dan ‘stop’, of ‘mens’ om met iemand te praten."},
	"edit": {
		"Of course. Here is the question again; “skip” leaves your answer as it was.",
		"Natürlich. Hier ist die Frage noch einmal; „überspringen“ lässt Ihre Antwort, wie sie war.",
		"Natuurlijk. Hier is de vraag nog een keer; ‘overslaan’ laat je antwoord zoals het was."},
	"nothing_to_edit": {
		"There is no earlier answer to change.",
		"Es gibt keine frühere Antwort, die sich ändern ließe.",
		"Er is geen eerder antwoord om te wijzigen."},
	"snooze": {
		"Gladly. I will remind you tomorrow. Until then you can answer whenever you like.",
		"Gern. Ich erinnere Sie morgen. Bis dahin können Sie jederzeit antworten.",
		"Prima. Ik herinner je er morgen aan. Tot die tijd kun je altijd antwoorden."},
	"again": {
		"You asked me to remind you. This is where we were:",
		"Sie hatten mich gebeten, Sie zu erinnern. Hier waren wir:",
		"Je vroeg me om je te herinneren. Hier waren we gebleven:"},
	"back": {
		"Welcome back. This is where we were:",
		"Schön, dass Sie wieder da sind. Hier waren wir:",
		"Fijn dat je er weer bent. Hier waren we gebleven:"},
	"waiting": {
		"There is no question open just now. I will write when we go on.",
		"Im Moment ist keine Frage offen. Ich schreibe Ihnen, wenn es weitergeht.",
		"Er staat nu geen vraag open. Ik schrijf je als we verdergaan."},
	"ended": {
		"We are done. Thank you. If you want to change your last answer, write “edit my last answer”.",
		"Wir sind fertig. Vielen Dank. Wenn Sie Ihre letzte Antwort ändern möchten, schreiben Sie „meine letzte Antwort ändern“.",
		"We zijn klaar. Dank je wel. Wil je je laatste antwoord wijzigen, schrijf dan ‘mijn laatste antwoord wijzigen’."},
	"stopped": {
		"All right, I stop here. There will be no more questions and no reminders in this conversation. If you change your mind, write “continue”.",
		"In Ordnung, ich höre hier auf. In diesem Gespräch kommen keine Fragen und keine Erinnerungen mehr. Wenn Sie es sich anders überlegen, schreiben Sie „weiter“.",
		"Goed, ik stop hier. In dit gesprek komen geen vragen en geen herinneringen meer. Als je je bedenkt, schrijf dan ‘verder’."},
	"stopped_still": {
		"You asked me to stop, so I ask nothing more. “continue” takes up where we were, “person” calls someone.",
		"Sie haben mich gebeten aufzuhören, also frage ich nichts mehr. Mit „weiter“ machen wir dort weiter, wo wir waren, mit „Mensch“ rufe ich jemanden.",
		"Je vroeg me om te stoppen, dus ik vraag niets meer. Met ‘verder’ gaan we door waar we waren, met ‘mens’ roep ik iemand."},
	"continued": {
		"Good to go on with you. This is where we were:",
		"Schön, dass wir weitermachen. Hier waren wir:",
		"Fijn dat we verdergaan. Hier waren we gebleven:"},
	"help": {
		"I am a program that asks a few questions. You can write “skip”, “edit my last answer”, “remind me tomorrow”, “stop”, or “person” if you would like to talk to someone.",
		"Ich bin ein Programm, das ein paar Fragen stellt. Sie können „überspringen“, „meine letzte Antwort ändern“, „morgen erinnern“ oder „stopp“ schreiben, oder „Mensch“, wenn Sie mit jemandem sprechen möchten.",
		"Ik ben een programma dat een paar vragen stelt. Je kunt ‘overslaan’, ‘mijn laatste antwoord wijzigen’, ‘herinner me morgen’ of ‘stop’ schrijven, of ‘mens’ als je met iemand wilt praten."},
	"help_lines": {
		"If you are not well and need help now: {helplines}",
		"Wenn es Ihnen nicht gut geht und Sie jetzt Hilfe brauchen: {helplines}",
		"Als het niet goed met je gaat en je nu hulp nodig hebt: {helplines}"},
	"danger": {
		"Thank you for telling me this. What you write worries me. I am only a program, but you need not be alone with it.",
		"Danke, dass Sie mir das sagen. Was Sie schreiben, macht mir Sorgen. Ich bin nur ein Programm, aber Sie müssen damit nicht allein sein.",
		"Dank je dat je me dit vertelt. Wat je schrijft baart me zorgen. Ik ben maar een programma, maar je hoeft er niet alleen mee te zijn."},
	"danger_lines": {
		"You can reach a person right now: {helplines}",
		"Sie erreichen jetzt sofort einen Menschen: {helplines}",
		"Je kunt nu meteen een mens bereiken: {helplines}"},
	"danger_told": {
		"I have also told a person here. If you are in danger, please do not wait for them. The questions can wait; if you want to go on with them, write “continue”.",
		"Ich habe auch hier einem Menschen Bescheid gesagt. Wenn Sie in Gefahr sind, warten Sie bitte nicht darauf. Die Fragen haben Zeit; wenn Sie damit weitermachen möchten, schreiben Sie „weiter“.",
		"Ik heb het ook hier aan een mens gemeld. Ben je in gevaar, wacht daar dan niet op. De vragen hebben geen haast; wil je ermee verder, schrijf dan ‘verder’."},
	"held": {
		"The questions wait until you want to go on. For that, write “continue”.",
		"Die Fragen warten, bis Sie weitermachen möchten. Schreiben Sie dann „weiter“.",
		"De vragen wachten tot je verder wilt. Schrijf dan ‘verder’."},
	"person_called": {
		"I have asked a person to get in touch with you. That can take a while; nothing you wrote is lost.",
		"Ich habe einen Menschen gebeten, sich bei Ihnen zu melden. Das kann etwas dauern; nichts, was Sie geschrieben haben, geht verloren.",
		"Ik heb een mens gevraagd om contact met je op te nemen. Dat kan even duren; wat je hebt geschreven gaat niet verloren."},
	"person_called_anonymous": {
		"I have asked a person to answer you here. They see what you write, and not who you are, unless you tell them.",
		"Ich habe einen Menschen gebeten, Ihnen hier zu antworten. Diese Person sieht, was Sie schreiben, aber nicht, wer Sie sind, es sei denn, Sie sagen es ihr.",
		"Ik heb een mens gevraagd om je hier te antwoorden. Die ziet wat je schrijft, en niet wie je bent, tenzij je het zelf vertelt."},
	"outside": {
		"I am only a program, and no question is open just now, so I cannot give you a good answer to this. If a person should, write “person”.",
		"Ich bin nur ein Programm, und im Moment ist keine Frage offen, deshalb kann ich Ihnen darauf keine gute Antwort geben. Wenn ein Mensch das tun soll, schreiben Sie „Mensch“.",
		"Ik ben maar een programma, en er staat nu geen vraag open, dus ik kan je hierop geen goed antwoord geven. Moet een mens dat doen, schrijf dan ‘mens’."},
	"late_button": {
		"That button belongs to an earlier question. To change that answer, write “edit my last answer”.",
		"Dieser Knopf gehört zu einer früheren Frage. Um jene Antwort zu ändern, schreiben Sie „meine letzte Antwort ändern“.",
		"Die knop hoort bij een eerdere vraag. Om dat antwoord te wijzigen, schrijf je ‘mijn laatste antwoord wijzigen’."},
	"language": {
		"We go on in English.",
		"Wir machen auf Deutsch weiter.",
		"We gaan verder in het Nederlands."},
	"changed": {
		"These questions have been changed since we began, and I cannot go on with them. What you have answered is kept. Thank you.",
		"Diese Fragen wurden geändert, seit wir angefangen haben, und ich kann damit nicht weitermachen. Was Sie geantwortet haben, bleibt erhalten. Vielen Dank.",
		"Deze vragen zijn gewijzigd sinds we begonnen, en ik kan er niet mee verder. Wat je hebt geantwoord blijft bewaard. Dank je wel."},
	"hint_mood":   {"1 to 5", "1 bis 5", "1 tot 5"},
	"hint_scale":  {"{min} to {max}", "{min} bis {max}", "{min} tot {max}"},
	"hint_choice": {"Write the number of your answer.", "Schreiben Sie die Nummer Ihrer Antwort.", "Schrijf het nummer van je antwoord."},
	"hint_multi":  {"Several are possible, for example “1, 3”.", "Mehrere sind möglich, zum Beispiel „1, 3“.", "Meer dan één mag, bijvoorbeeld ‘1, 3’."},
	"hint_text":   {"Write in your own words.", "Schreiben Sie in eigenen Worten.", "Schrijf in je eigen woorden."},
	"skip":        {"Skip", "Überspringen", "Overslaan"},
	"person":      {"Talk to a person", "Mit einem Menschen sprechen", "Met een mens praten"},
	"and":         {"and", "und", "en"},
	"mood_1":      {"very bad", "sehr schlecht", "heel slecht"},
	"mood_2":      {"bad", "schlecht", "slecht"},
	"mood_3":      {"so-so", "geht so", "gaat wel"},
	"mood_4":      {"good", "gut", "goed"},
	"mood_5":      {"very good", "sehr gut", "heel goed"},
}

// faces are the five faces of a mood, from very bad to very good.
var faces = [5]string{"😞", "🙁", "😐", "🙂", "😄"}

// phraseNames are what a flow may say in its own words.
func phraseNames() []string { return slices.Sorted(maps.Keys(phrases)) }

// builtIn is the column of a language in the built-in sentences, -1 for none.
func builtIn(language string) int {
	base, _, _ := strings.Cut(language, "-")
	return slices.Index([]string{"en", "de", "nl"}, base)
}

// phrase is a sentence of the bot in a language of the flow.
func (f *Flow) phrase(name, language string) string {
	if own, ok := f.phrases[name][language]; ok {
		return own
	}
	return phrases[name][max(0, builtIn(language))]
}

package outreach

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/bearhug/bearhug/insight"
)

// sentences are what the bot says where no flow speaks, in English, German and
// Dutch.
var sentences = map[string][3]string{
	"nobody": {
		"I am a program that asks questions for your organisation. There is no conversation with you just now, and nobody reads what you write here.",
		"Ich bin ein Programm, das für Ihre Organisation Fragen stellt. Im Moment gibt es kein Gespräch mit Ihnen, und niemand liest, was Sie hier schreiben.",
		"Ik ben een programma dat vragen stelt voor je organisatie. Er is nu geen gesprek met jou, en niemand leest wat je hier schrijft."},
	"sealed": {
		"I am a program and cannot read encrypted messages. Please switch encryption off for this conversation and write again.",
		"Ich bin ein Programm und kann verschlüsselte Nachrichten nicht lesen. Bitte schalten Sie für dieses Gespräch die Verschlüsselung aus und schreiben Sie noch einmal.",
		"Ik ben een programma en kan versleutelde berichten niet lezen. Zet de versleuteling voor dit gesprek uit en schrijf het nog een keer."},
	"correction": {
		"I cannot take over this correction: only your last answer can be changed so. To change an answer, write “edit my last answer”.",
		"Diese Korrektur kann ich nicht übernehmen: So lässt sich nur Ihre letzte Antwort ändern. Um eine Antwort zu ändern, schreiben Sie „meine letzte Antwort ändern“.",
		"Deze correctie kan ik niet overnemen: zo kun je alleen je laatste antwoord wijzigen. Wil je een antwoord wijzigen, schrijf dan ‘mijn laatste antwoord wijzigen’."},
	"refused": {
		"Your message was not taken and nobody has read it. Please write again in a minute.",
		"Ihre Nachricht wurde nicht angenommen, und niemand hat sie gelesen. Bitte schreiben Sie in einer Minute noch einmal.",
		"Je bericht is niet aangenomen en niemand heeft het gelezen. Schrijf het over een minuut nog een keer."},
	"help": {
		"If you are not well and need help now:",
		"Wenn es Ihnen nicht gut geht und Sie jetzt Hilfe brauchen:",
		"Als het niet goed met je gaat en je nu hulp nodig hebt:"},
	"danger": {
		"Thank you for telling me this. What you write worries me. I am only a program, but you need not be alone with it.",
		"Danke, dass Sie mir das sagen. Was Sie schreiben, macht mir Sorgen. Ich bin nur ein Programm, aber Sie müssen damit nicht allein sein.",
		"Dank je dat je me dit vertelt. Wat je schrijft baart me zorgen. Ik ben maar een programma, maar je hoeft er niet alleen mee te zijn."},
	"told": {
		"I have also told a person here. If you are in danger, please do not wait for them.",
		"Ich habe auch hier einem Menschen Bescheid gesagt. Wenn Sie in Gefahr sind, warten Sie bitte nicht darauf.",
		"Ik heb het ook hier aan een mens gemeld. Ben je in gevaar, wacht daar dan niet op."},
	"thread": {
		"(A person wrote this. What you write now goes to them; “continue” takes you back to the questions.)",
		"(Das hat ein Mensch geschrieben. Was Sie jetzt schreiben, geht an ihn; mit „weiter“ kommen Sie zu den Fragen zurück.)",
		"(Dit heeft een mens geschreven. Wat je nu schrijft, gaat naar die persoon; met ‘verder’ ga je terug naar de vragen.)"},
	"remind": {"Remind me tomorrow", "Morgen erinnern", "Morgen herinneren"},
	"code": {
		"Your code to see your earlier answers on this device: %s\n\nIt is good for ten minutes. If you did not ask for it, somebody else may have your link; then answer this e-mail.",
		"Ihr Code, um Ihre früheren Antworten auf diesem Gerät zu sehen: %s\n\nEr gilt zehn Minuten. Wenn Sie ihn nicht angefordert haben, hat vielleicht jemand anderes Ihren Link; antworten Sie dann auf diese E-Mail.",
		"Je code om je eerdere antwoorden op dit apparaat te zien: %s\n\nHij is tien minuten geldig. Heb je er niet om gevraagd, dan heeft misschien iemand anders je link; beantwoord dan deze e-mail."},
	"subject": {"Your code", "Ihr Code", "Je code"},
}

// own is a sentence of the bot's, in a language or in English.
func own(name, language string) string {
	return sentences[name][column(language)]
}

// column is where a language stands in tables of ours.
func column(language string) int {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	switch base {
	case "de":
		return 1
	case "nl":
		return 2
	}
	return 0
}

// languageOf is the language in which to answer a text from somebody of whom
// nothing is known.
func (d *desk) languageOf(text string) string {
	if tag, sure := insight.Language(text); sure && tag != insight.Other {
		return tag
	}
	if l := d.sets().Language; l != "" {
		return l
	}
	return "en"
}

// languageFor is the language of an account's conversation.
func (d *desk) languageFor(ctx context.Context, account string) string {
	talks, _, err := d.bot.host.Store.Talks(ctx, d.org, account)
	if err == nil && len(talks) > 0 {
		k := (&turn{talks: talks}).current()
		if k != nil {
			var m memory
			var a about
			if json.Unmarshal(k.State, &m) == nil && m.Flow.Language != "" {
				return m.Flow.Language
			}
			if json.Unmarshal(k.About, &a) == nil && a.Language != "" {
				return a.Language
			}
		}
	}
	return d.languageOf("")
}

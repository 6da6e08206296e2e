package insight_test

import (
	"testing"

	"github.com/bearhug/bearhug/insight"
)

// TestOtherLanguages: what is in none of our languages is not read as one.
func TestOtherLanguages(t *testing.T) {
	texts := []string{
		"Je suis très content de mon équipe et de mon travail", "Mon chef ne m'écoute jamais, je suis fatigué", "Merci, tout va bien aujourd'hui",
		"Estoy muy cansado y no puedo dormir", "Me gusta mucho mi trabajo y mis compañeros", "No tengo tiempo para nada, gracias",
		"Sono molto contento del mio lavoro", "Non ho niente da dire oggi, grazie", "Il mio capo non mi ascolta mai",
		"Jestem bardzo zmęczony i nie mam czasu", "Dziękuję, wszystko jest dobrze", "Bardzo lubię mój zespół",
		"Çok yorgunum ama işimi seviyorum", "Bugün her şey çok iyi, teşekkürler", "Bu hafta hiç uyumadım",
		"Eu gosto muito do meu trabalho e da minha equipe", "Não tenho tempo para nada", "Estou muito cansado hoje",
		"Jag är mycket trött och det är för mycket arbete", "Jeg er meget glad for mit arbejde og mit team", "Sunt foarte obosit și nu mai pot",
		"Я очень устал и не хочу работать", "أنا متعب جدا اليوم", "我今天很累", "Σήμερα είμαι πολύ κουρασμένος", "",
	}
	wrong, surely := 0, 0
	for _, text := range texts {
		if tag, sure := insight.Language(text); tag != insight.Other {
			wrong++
			t.Logf("%s (sure: %v): %s", tag, sure, text)
			if sure {
				surely++
			}
		}
	}
	t.Logf("%d of %d read as one of ours, %d of these surely", wrong, len(texts), surely)
	if wrong > 2 || surely > 0 {
		t.Errorf("%d of %d read as one of ours, %d surely; want at most 2 and 0", wrong, len(texts), surely)
	}
}

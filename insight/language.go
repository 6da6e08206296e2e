package insight

import (
	"strings"
	"sync"
	"unicode"
)

// Other is the language of a text that is in none of ours.
const Other = "other"

// maxIdentified bounds what is read to find the language.
const maxIdentified = 2 << 10

// Language is the language of a text: en, de, nl or Other. It is sure when the
// words leave no doubt; of a text as short as "ok" it is not, and "" is unsure
// Other.
//
// It counts words that only one language has, or has far more often: function
// words and those of the lexicons, and after them spellings. That does better
// on a few words than statistics of letters, which need a paragraph.
func Language(text string) (tag string, sure bool) {
	text = cut(text, maxIdentified)
	if foreign(text) {
		return Other, true
	}
	v := vocabulary()
	points := map[string]float64{}
	words := 0
	for _, t := range tokens(text, "nl") {
		if t.kind != word {
			continue
		}
		words++
		v.count(points, t)
	}
	best, second := "", 0.0
	for _, tag := range v.order {
		switch {
		case best == "" || points[tag] > points[best]:
			if best != "" {
				second = max(second, points[best])
			}
			best = tag
		default:
			second = max(second, points[tag])
		}
	}
	if points[best] < 0.5 {
		return Other, false
	}
	lead := points[best] - second
	sure = points[best] >= 1 && lead >= 0.9 && lead >= points[best]*0.3
	if best != "en" && best != "de" && best != "nl" {
		return Other, sure && points[best] >= 1.5
	}
	if points[best] < float64(words)*0.12 {
		return Other, false
	}
	return best, sure
}

// foreign texts are mostly in letters that are not Latin.
func foreign(text string) bool {
	latin, others := 0, 0
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Latin, r):
			latin++
		case unicode.IsLetter(r):
			others++
		}
	}
	return others > latin
}

// words maps a word to the points it gives to languages.
type words struct {
	order  []string
	points map[string]map[string]float64
}

var vocabulary = sync.OnceValue(readVocabulary)

// readVocabulary builds the table out of the function words and the lexicons.
// A word that n languages have gives each 1/n², as it tells little;
// that others have it too takes less from ours.
func readVocabulary() *words {
	in := map[string]map[string]float64{}
	put := func(w, tag string, value float64) {
		if in[w] == nil {
			in[w] = map[string]float64{}
		}
		in[w][tag] = max(in[w][tag], value)
	}
	for tag, list := range functionWords {
		for w := range strings.FieldsSeq(list) {
			put(folded(w, "nl"), tag, 1)
		}
	}
	if l, err := tables(); err == nil {
		for tag, lex := range map[string]*lexicon{"de": l.de, "nl": l.nl} {
			for w := range lex.exact {
				if len(w) >= 4 {
					put(w, tag, 0.8)
				}
			}
		}
		for w := range l.en.vader.Lexicon {
			if len(w) >= 4 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "" {
				put(w, "en", 0.6)
			}
		}
	}
	for _, tags := range in {
		ours := 0.0
		for _, tag := range []string{"en", "de", "nl"} {
			if tags[tag] > 0 {
				ours++
			}
		}
		n := float64(len(tags))
		for tag := range tags {
			if tag == "en" || tag == "de" || tag == "nl" {
				tags[tag] /= ours*ours + (n-ours)/3
			} else {
				tags[tag] /= n * n
			}
		}
	}
	return &words{order: []string{"en", "de", "nl", "fr", "es", "it", "pt", "pl", "tr", "sv", "da", "ro"}, points: in}
}

// count adds a word's points.
func (v *words) count(points map[string]float64, t token) {
	w := t.word
	if tags, ok := v.points[w]; ok {
		for tag, p := range tags {
			points[tag] += p
		}
		return
	}
	if g := folded(t.text, "de"); g != w { // lexicons of German write umlauts out
		if tags, ok := v.points[g]; ok {
			for tag, p := range tags {
				points[tag] += p
			}
		}
	}
	for _, s := range spellings {
		if s.in(strings.ToLower(t.text), w) {
			points[s.tag] += s.points
		}
	}
}

// spelling is a run of letters that speaks for a language.
type spelling struct {
	tag    string
	where  byte // ^ at the beginning, $ at the end, * anywhere
	runs   string
	points float64
}

func (s spelling) in(raw, w string) bool {
	for r := range strings.FieldsSeq(s.runs) {
		switch {
		case s.where == '^' && strings.HasPrefix(w, r), s.where == '$' && len(w) > len(r)+1 && strings.HasSuffix(w, r), s.where == '*' && strings.Contains(raw, r):
			return true
		}
	}
	return false
}

var spellings = []spelling{
	{"de", '*', "ß ä ö ü", .5}, {"de", '*', "sch tsch pf tz ck", .2}, {"de", '$', "ung ungen keit heit lich isch ieren iert chen tzt", .5}, {"de", '^', "ge ver zer ent schw zw", .1}, {"de", '$', "en er em es", .1},
	{"nl", '*', "ij aa uu oe ui ieuw eeuw ooi", .3}, {"nl", '*', "ee oo gg sch", .15}, {"nl", '$', "heid ing ingen lijk lijke tje tjes eren eerd dt ieve", .5}, {"nl", '^', "ge ver ont sch", .1}, {"nl", '$', "en t", .1},
	{"en", '*', "th wh gh 'll 've n't oug", .35}, {"en", '$', "ing ed ly tion ness ful less ment ity ies ous able y's", .4}, {"en", '$', "y 's", .2}, {"en", '^', "un dis th wh", .15},
	{"fr", '*', "ç œ ê è à oux eau", .4}, {"es", '*', "ñ ¿ ¡ ción", .6}, {"pt", '*', "ã õ ção nh", .5}, {"pl", '*', "ł ś ż ź ą ę cz sz rz", .5}, {"tr", '*', "ı ğ ş", .6}, {"sv", '*', "å", .5}, {"da", '*', "ø æ å", .5}, {"it", '*', "zione gli ò ù", .4}, {"ro", '*', "ă ț ș", .6},
}

// functionWords are the words that every text of a language is full of.
var functionWords = map[string]string{
	"en": "the a an and or but i i'm i've i'd i'll im ive you your yours he him his she her it its it's we us our they them their me my mine this that these those is are was were be been being am do does did don't doesn't didn't have has had haven't hasn't will would can could couldn't can't cant should shouldn't wouldn't won't may might must not no yes of in on at to from by with without for about into over under after before since until during as if when while because so than then there here what which who whom whose why how where all any some each every both few more most much many other another such only own same too very just also again still already never always often sometimes now today yesterday tomorrow week month day year work working job team manager colleague colleagues boss people feel feeling feels get got go going went make made made take see know think want need like really please thanks thank home time meeting nobody everyone someone something nothing everything last next new first back off out up down",
	"de": "der die das den dem des ein eine einen einem einer eines und oder aber ich du er sie es wir ihr mich mir dich dir ihn ihm uns euch ihnen mein meine meinen meinem meiner dein deine sein seine unser unsere ihre ihren ihrem dieser diese dieses diesen diesem ist sind war waren bin bist seid sein gewesen wird werden wurde wurden habe hab hat haben hatte hatten kann kannst können konnte könnte soll sollte will wollen wollte möchte muss müssen musste darf nicht kein keine keinen keinem nein ja von vom im in an am auf zu zum zur aus bei beim mit ohne für über unter nach vor seit bis während als wenn weil dass ob so wie dann da hier dort was welche wer wem wen warum wo wann alle alles jeder jede jedes jeden einige viele viel mehr sehr nur auch noch schon wieder immer nie oft manchmal jetzt heute gestern morgen woche monat tag jahr arbeit arbeite arbeiten team chef chefin kollege kollegen kollegin leute fühle fühl geht gehe macht mache machen gibt weiß denke glaube bitte danke hause zeit niemand jemand etwas nichts letzte letzten nächste nächsten neue neuen neuer neues seit gerade mal halt eben ganz gar man sich doch durch gegen um",
	"nl": "de het een en of maar ik jij je u hij zij ze wij we jullie mij me jou hem haar ons hun mijn jouw uw zijn onze dit dat deze die is ben bent was waren geweest wordt word worden werd werden heb hebt heeft hebben had hadden kan kun kunnen kon zou zouden zal zullen wil willen wilde moet moeten moest mag niet geen nee ja van in op aan te tot uit bij met zonder voor over onder na sinds tijdens als wanneer omdat dat zo dan daar hier wat welke wie waarom waar hoe alle alles elk elke ieder iedere sommige veel meer zeer erg heel alleen ook nog al weer altijd nooit vaak soms nu vandaag gisteren morgen week maand dag jaar werk werken team baas leidinggevende collega collega's mensen voel voelt gaat ga maakt maak maken weet denk geloof graag bedankt thuis tijd niemand iemand iets niets niks laatste vorige volgende nieuwe er naar om door tegen gewoon even toch echt zelf mezelf eens zat zit staat krijg krijgt doe doet doen",
	"fr": "le la les un une des et ou mais je tu il elle nous vous ils elles mon ma mes ton ta ses son notre votre ce cette ces est sont suis es était être avoir ai as avons avez ont ne pas non oui de du au aux dans sur avec sans pour par que qui quoi où très bien plus moins tout tous trop rien jamais toujours aujourd'hui c'est j'ai n'est qu'il d'un d'une travail équipe fait merci",
	"es": "el la los las un una unos unas y o pero yo tú él ella nosotros ustedes ellos mi mis tu su sus nuestro este esta estos es son soy eres fue ser estar estoy está están he ha han tengo tiene no sí de del al en con sin por para que quien qué cómo donde muy bien más menos todo todos nada nunca siempre hoy trabajo equipo gracias me siento",
	"it": "il lo la gli le un una e ed o ma io tu lui lei noi voi loro mio mia tuo suo nostro questo questa è sono sei era essere ho hai ha abbiamo non sì di del della dei al alla in nel nella con senza per che chi cosa come dove molto bene più meno tutto tutti niente mai sempre oggi lavoro squadra grazie mi sento",
	"pt": "o os as um uma e ou mas eu tu ele ela nós vocês eles meu minha seu sua nosso este esta é são sou foi ser estar estou está estão tenho tem não sim de do da dos das em no na com sem por para que quem como onde muito bem mais menos tudo todos nada nunca sempre hoje trabalho equipe obrigado",
	"pl": "i w z na do nie tak jest są jestem był była być mam ma mój moja moje ten ta to ja ty on ona my wy oni się że jak co gdzie kto bardzo dobrze więcej wszystko nic nigdy zawsze dzisiaj praca pracy zespół dziękuję ale czy dla po od przez już",
	"tr": "ve bir bu şu o ben sen biz siz onlar benim senin için ile değil çok iyi kötü var yok ne nasıl nerede kim ama daha en her hiç bugün iş ekip teşekkürler evet hayır mi mı mu da de ki gibi",
	"sv": "och eller men jag du han hon vi ni de min mitt mina din är var vara har hade inte nej ja av på i till från med utan för som vad vem hur var mycket bra mer allt alla aldrig alltid idag arbete teamet tack det den ett en att",
	"da": "og eller men jeg du han hun vi i de min mit mine din er var være har havde ikke nej ja af på til fra med uden for som hvad hvem hvordan hvor meget godt mere alt alle aldrig altid idag arbejde tak det den et en at",
	"ro": "și sau dar eu tu el ea noi voi ei meu mea este sunt era fi am ai are avem nu da de la din în cu fără pentru care ce cine cum unde foarte bine mai mult tot nimic niciodată mereu azi muncă echipă mulțumesc",
}

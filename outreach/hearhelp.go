package outreach

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Helpline is where people find help at once. Source says who publishes it.
type Helpline struct {
	Name   string `json:"name"`
	Number string `json:"number"`         // as it is dialled
	Hours  string `json:"hours"`          // "24/7"
	Web    string `json:"web,omitempty"`  // without https://
	Source string `json:"source"`         // the page that says so
	Only   string `json:"only,omitempty"` // in this language only: "nl", "fr"
}

// shippedHelplines are national lines, by country. Each stands on the page that
// Source names; they are checked before a release (docs/helplines.md).
var shippedHelplines = map[string][]Helpline{
	"DE": {
		{Name: "TelefonSeelsorge", Number: "0800 1110111 / 0800 1110222 / 116 123", Hours: "24/7", Web: "online.telefonseelsorge.de", Source: "https://www.telefonseelsorge.de"},
	},
	"NL": {
		{Name: "113 Zelfmoordpreventie", Number: "113 / 0800 0113", Hours: "24/7", Web: "113.nl", Source: "https://www.113.nl"},
	},
	"GB": {
		{Name: "Samaritans", Number: "116 123", Hours: "24/7", Web: "samaritans.org", Source: "https://www.samaritans.org/how-we-can-help/contact-samaritan/"},
		{Name: "Shout", Number: "text SHOUT to 85258", Hours: "24/7", Web: "giveusashout.org", Source: "https://giveusashout.org"},
	},
	"IE": {
		{Name: "Samaritans", Number: "116 123", Hours: "24/7", Web: "samaritans.org/ireland", Source: "https://www.samaritans.org/ireland/how-we-can-help/contact-samaritan/"},
		{Name: "Text About It", Number: "text HELLO to 50808", Hours: "24/7", Web: "textaboutit.ie", Source: "https://www.textaboutit.ie"},
	},
	"US": {
		{Name: "988 Suicide & Crisis Lifeline", Number: "988", Hours: "24/7", Web: "988lifeline.org", Source: "https://988lifeline.org"},
	},
	"AT": {
		{Name: "TelefonSeelsorge", Number: "142", Hours: "24/7", Web: "telefonseelsorge.at", Source: "https://www.telefonseelsorge.at"},
	},
	"CH": {
		{Name: "Die Dargebotene Hand", Number: "143", Hours: "24/7", Web: "143.ch", Source: "https://www.143.ch"},
	},
	"BE": {
		{Name: "Zelfmoordlijn", Number: "1813", Hours: "24/7", Web: "zelfmoord1813.be", Source: "https://www.zelfmoord1813.be", Only: "nl"},
		{Name: "Centre de Prévention du Suicide", Number: "0800 32 123", Hours: "24/7", Web: "preventionsuicide.be", Source: "https://www.preventionsuicide.be", Only: "fr"},
		{Name: "Telefonhilfe", Number: "108", Hours: "24/7", Web: "telefonhilfe.be", Source: "https://www.telefonhilfe.be", Only: "de"},
	},
}

// emergencies are the numbers for danger to life.
var emergencies = map[string]string{"DE": "112", "NL": "112", "GB": "999", "IE": "112 / 999", "US": "911", "AT": "112 / 144", "CH": "112 / 144", "BE": "112"}

// zoneCountries are the countries of time zones, for who is known by no more.
var zoneCountries = map[string]string{
	"Europe/Berlin": "DE", "Europe/Busingen": "DE", "Europe/Amsterdam": "NL", "Europe/London": "GB", "Europe/Belfast": "GB", "Europe/Dublin": "IE",
	"Europe/Vienna": "AT", "Europe/Zurich": "CH", "Europe/Brussels": "BE", "America/New_York": "US", "America/Chicago": "US", "America/Denver": "US",
	"America/Los_Angeles": "US", "America/Phoenix": "US", "America/Anchorage": "US", "America/Detroit": "US", "America/Boise": "US", "Pacific/Honolulu": "US",
}

// ShippedHelplines are those of a country that come with the server, nil if
// there are none.
func ShippedHelplines(country string) []Helpline {
	return append([]Helpline(nil), shippedHelplines[country]...)
}

// Limits of helplines that an organisation configures.
const (
	maxHelplines    = 10
	maxHelplineText = 200 // characters of each field
)

func checkHelplines(country string, lines []Helpline) error {
	if len(country) != 2 || strings.ToUpper(country) != country {
		return fmt.Errorf("helplines of %.10q: name the country by two capital letters, as DE", country)
	}
	if len(lines) > maxHelplines {
		return fmt.Errorf("helplines of %s: %d are more than people read in need; at most %d", country, len(lines), maxHelplines)
	}
	for _, l := range lines {
		if strings.TrimSpace(l.Name) == "" || strings.TrimSpace(l.Number) == "" {
			return fmt.Errorf("helplines of %s: each has a name and a number", country)
		}
		for _, text := range []string{l.Name, l.Number, l.Hours, l.Web, l.Source} {
			if utf8.RuneCountInString(text) > maxHelplineText || strings.ContainsAny(text, "\r\n") {
				return fmt.Errorf("helplines of %s: %.40q is not one line of at most %d characters", country, text, maxHelplineText)
			}
		}
	}
	return nil
}

// of are the helplines of a country, what the organisation says before what
// comes with the server.
func (s *BotSettings) of(country string) []Helpline {
	if lines, ok := s.Helplines[country]; ok {
		return lines
	}
	return shippedHelplines[country]
}

// country is where somebody is, as far as is known: what is said of the person,
// the time zone, what the organisation says, the language.
func (s *BotSettings) country(said, zone, language string) string {
	if said = strings.ToUpper(said); said == "UK" {
		said = "GB"
	}
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	for _, c := range []string{said, zoneCountries[zone], s.Country, map[string]string{"de": "DE", "nl": "NL", "en": "GB"}[base]} {
		if c != "" && len(s.of(c)) > 0 {
			return c
		}
	}
	return ""
}

// helplines are where help is, in one text; "" when none are known.
func (d *desk) helplines(said, zone, language string) string {
	set := d.sets()
	country := set.country(said, zone, language)
	if country == "" {
		return ""
	}
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	var parts, others []string
	for _, l := range set.of(country) {
		text := l.Name + ": " + l.Number
		if more := strings.Trim(strings.Join([]string{l.Hours, l.Web}, ", "), ", "); more != "" {
			text += " (" + more + ")"
		}
		if l.Only == "" || l.Only == base {
			parts = append(parts, text)
		} else {
			others = append(others, text)
		}
	}
	if len(parts) == 0 {
		parts = others // in another language, which is better than none
	}
	if number := emergencies[country]; number != "" {
		parts = append(parts, [3]string{"Danger to life: ", "Bei Lebensgefahr: ", "Bij levensgevaar: "}[column(language)]+number)
	}
	return strings.Join(parts, " · ")
}

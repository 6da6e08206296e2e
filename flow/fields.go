package flow

import (
	_ "embed"
	"encoding/json"
	"slices"
)

// What a document may contain: the keys of each of its objects. The parser
// accepts these and no others, and schema.json is made of them.

// A field is a key of an object.
type field struct {
	name     string
	doc      string
	form     any // a part of the schema
	required bool
}

// names are the keys of an object.
func names(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

// Limits of a document.
const (
	maxSteps    = 500
	maxText     = 2000 // characters of a text
	maxLabel    = 60   // characters of a label
	maxOptions  = 20
	maxLength   = 4000 // characters of a free text
	keptText    = 500  // characters of it that the state remembers
	maxSource   = 500  // characters of a condition
	maxSilent   = 50   // lines without a question
	maxLangs    = 20
	maxCases    = 20
	maxVariants = 5
	maxAttrs    = 50
	maxSpan     = 100 // numbers of a scale

	maxConditions = 500
)

// Patterns of words in a document.
const (
	idPattern       = `^[a-z][a-z0-9_]{0,39}$`
	flowPattern     = `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`
	languagePattern = `^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$`
	waitPattern     = `^[1-9][0-9]{0,4}[mhdw]$`
)

type object = map[string]any

// ref is a part of the schema that is said once.
func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

func integer(low, high int) object { return object{"type": "integer", "minimum": low, "maximum": high} }

func list(of any, low, high int) object {
	return object{"type": "array", "items": of, "minItems": low, "maxItems": high}
}

// documentFields are the keys of a document.
var documentFields = []field{
	{"flow", "The name of the flow, the same in all its versions.", object{"type": "string", "pattern": flowPattern, "maxLength": 60}, true},
	{"version", "Counts the editions of the document.", integer(1, 1_000_000), true},
	{"title", "What people who work with the flow call it.", ref("texts"), true},
	{"languages", "The languages of every text. The first serves those whose language is not among them.", list(object{"type": "string", "pattern": languagePattern}, 1, maxLangs), true},
	{"helplines", "Says that helplines are shown where they are needed. A flow with free text has to say so, and does not start where none are configured.", object{"type": "boolean"}, false},
	{"attributes", "What the flow uses of a person's attributes: a name and text, number or bool.", object{"type": "object", "propertyNames": ref("id"), "additionalProperties": object{"enum": []any{"text", "number", "bool"}}, "maxProperties": maxAttrs}, false},
	{"phrases", "Sentences of the bot's own in place of the built-in ones.", object{"type": "object", "propertyNames": object{"enum": phraseNames()}, "additionalProperties": ref("texts")}, false},
	{"steps", "The conversation, from the first step on.", list(ref("step"), 1, maxSteps), true},
}

// commonFields are the keys of every step. A branch has no when and no next.
var commonFields = []field{
	{"id", "The name of the step, for next, go and {{answer.…}}.", ref("id"), true},
	{"when", "A condition. Where it does not hold, the step is left out.", ref("condition"), false},
	{"next", "The step that follows, if it is not the next one of the list.", ref("id"), false},
}

var anonymousField = field{"anonymous", "The text in its place in an anonymous campaign.", ref("texts"), false}

// questionFields are the keys of every question.
var questionFields = []field{
	anonymousField,
	{"variants", "Other versions of the text to try against each other (the step's own is a). On the first question only.", object{"type": "object", "propertyNames": ref("id"), "additionalProperties": ref("texts"), "minProperties": 1, "maxProperties": maxVariants}, false},
	{"required", "Cannot be skipped. Use it rarely.", object{"type": "boolean"}, false},
	{"measure", "What the answer measures, for reports: mood, enps, workload, …", ref("id"), false},
}

// A kindFields is a kind of step: the key that makes it one, and its others.
type kindFields struct {
	kind, doc string
	form      any
	also      []field
	without   []string // of commonFields
}

// kinds are all kinds of steps.
var kinds = []kindFields{
	{kind: kindMessage, doc: "Something the bot says.", form: ref("texts"), also: []field{anonymousField}},
	{kind: kindPrivacy, doc: "Who reads the answers, said before the first question. A flow that may be used anonymously says it in anonymous, too.", form: ref("texts"), also: []field{anonymousField}},
	{kind: Mood, doc: "A question with five faces, 1 (very bad) to 5 (very good).", form: ref("texts"), also: questionFields},
	{kind: Scale, doc: "A question with whole numbers, 0 to 10 if min and max do not say otherwise.", form: ref("texts"), also: append(slices.Clone(questionFields),
		field{"min", "The least number.", integer(-100, 100), false},
		field{"max", "The greatest number.", integer(-100, 100), false},
		field{"low", "What the least number means.", ref("labels"), false},
		field{"high", "What the greatest number means.", ref("labels"), false})},
	{kind: Choice, doc: "A question with one of several options.", form: ref("texts"), also: append(slices.Clone(questionFields),
		field{"options", "What there is to choose from.", list(ref("option"), 2, maxOptions), true})},
	{kind: Multi, doc: "A question with some of several options.", form: ref("texts"), also: append(slices.Clone(questionFields),
		field{"options", "What there is to choose from.", list(ref("option"), 2, maxOptions), true},
		field{"min", "How many at least; 1 if not said.", integer(0, maxOptions), false},
		field{"max", "How many at most; all if not said.", integer(1, maxOptions), false})},
	{kind: Text, doc: "A question with an answer in one's own words.", form: ref("texts"), also: append(slices.Clone(questionFields),
		field{"length", "How many characters are kept; 2000 if not said.", integer(1, maxLength), false})},
	{kind: kindBranch, doc: "Goes on at the first entry whose condition holds.", form: list(ref("case"), 1, maxCases), without: []string{"when", "next"}, also: []field{
		{"otherwise", "Where to go on when none holds.", ref("id"), true}}},
	{kind: kindWait, doc: "Says nothing for a time: 30m, 4h, 3d, 2w.", form: object{"type": "string", "pattern": waitPattern}},
	{kind: kindHandover, doc: "Calls a person, and says so.", form: ref("texts"), also: []field{
		anonymousField,
		{"reason", "Why, in one word, for the person who is called.", ref("id"), true},
		{"urgent", "Whether it has to be looked at first.", object{"type": "boolean"}, false},
		{"finishes", "Whether the conversation with the bot ends here.", object{"type": "boolean"}, false}}},
	{kind: kindEnd, doc: "The end, with a last word.", form: ref("texts"), without: []string{"next"}, also: []field{anonymousField}},
}

// caseFields are the keys of one way of a branch.
var caseFields = []field{
	{"if", "A condition.", ref("condition"), true},
	{"go", "The step to go on with when it holds.", ref("id"), true},
}

// optionFields are the keys of an option.
var optionFields = []field{
	{"value", "What is stored.", ref("id"), true},
	{"label", "What is shown.", ref("labels"), true},
	{"score", "What the option counts, where a choice is a measure.", integer(-100, 100), false},
}

// fields are the keys of a step of this kind.
func (k *kindFields) fields() []field {
	out := []field{commonFields[0], {k.kind, k.doc, k.form, true}}
	for _, f := range commonFields[1:] {
		if !slices.Contains(k.without, f.name) {
			out = append(out, f)
		}
	}
	return append(out, k.also...)
}

// A measured choice needs a score at each option; the schema leaves that and
// all that spans several places to Parse.

// makeSchema writes the schema that the tables above are.
func makeSchema() []byte {
	texts := func(most int) object {
		return object{"type": "object", "propertyNames": object{"pattern": languagePattern}, "additionalProperties": object{"type": "string", "minLength": 1, "maxLength": most}, "minProperties": 1}
	}
	defs := object{
		"id":        object{"type": "string", "pattern": idPattern},
		"condition": object{"type": "string", "minLength": 1, "maxLength": maxSource, "description": "An expression over answer, answered, score, sentiment, attribute, known, anonymous and language."},
		"texts":     texts(maxText),
		"labels":    texts(maxLabel),
		"case":      schemaOf("", caseFields),
		"option":    schemaOf("", optionFields),
	}
	var steps []any
	for _, k := range kinds {
		defs[k.kind+"_step"] = schemaOf(k.doc, k.fields())
		steps = append(steps, ref(k.kind+"_step"))
	}
	defs["step"] = object{"oneOf": steps}
	root := schemaOf("A conversation that Bearhug leads.", documentFields)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Bearhug flow"
	root["$defs"] = defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil // of maps, texts and numbers: it does not happen, and the test would see it
	}
	return append(out, '\n')
}

// schemaOf is an object with these keys and no others.
func schemaOf(doc string, fields []field) object {
	properties, required := object{}, []string{}
	for _, f := range fields {
		p := object{"description": f.doc}
		for k, v := range f.form.(object) {
			p[k] = v
		}
		properties[f.name] = p
		if f.required {
			required = append(required, f.name)
		}
	}
	o := object{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
	if doc != "" {
		o["description"] = doc
	}
	return o
}

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of a document. What Parse accepts
// is valid by it; Parse also checks what a schema cannot say.
func Schema() []byte { return slices.Clone(schema) }

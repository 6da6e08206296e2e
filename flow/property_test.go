package flow

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// said is what people and clients send: answers, commands, nonsense.
var said = strings.Split("1|2|3|4|5|7|10|0|yes|no|ja|nee|👍|😞|🙂|1, 3|1 und 2|none|all|skip|überspringen|edit my last answer|zurück|remind me tomorrow|morgen|stop|stopp|continue|weiter|help|hulp|person|Mensch|deutsch|english|nederlands|/skip|/person|/en|/x|I want to stop smoking|bitter|Die Arbeit selbst|team|workload|all of them|\x00|\xff\xfe|{{name}}|<b>&amp;</b>|9999999999", "|")

func inputs() *rapid.Generator[Input] {
	return rapid.Custom(func(t *rapid.T) Input {
		in := Input{}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			in.Event = Timer
		case 1:
			in.Event = Resume
		case 2:
			in.Text = rapid.String().Draw(t, "any")
		case 3:
			in.Text = strings.Repeat(rapid.SampledFrom([]string{"<", "x ", "é", "\u2028", "1, "}).Draw(t, "of"), rapid.IntRange(0, 3000).Draw(t, "times"))
		case 4:
			in.Text, in.Question = rapid.SampledFrom(said).Draw(t, "said"), rapid.SampledFrom([]string{"mood", "enps", "low_why", "nothing"}).Draw(t, "question")
		default:
			in.Text = rapid.SampledFrom(said).Draw(t, "said")
		}
		in.Danger = rapid.IntRange(0, 19).Draw(t, "danger") == 0
		return in
	})
}

// TestAnyInputs: whatever is said, in whatever order, the conversation goes on
// by its rules, in bounds, and the same again from the stored state.
func TestAnyInputs(t *testing.T) {
	var flows []*Flow
	for _, name := range Shipped() {
		flows = append(flows, shipped(t, name))
	}
	flows = append(flows, quick(t, plain), quick(t, questions))
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(flows).Draw(t, "flow")
		talker := Talker{Flow: f, Sentiment: toneOf, Helplines: helplinesFor}
		s, turn := talker.Open(
			Person{Name: rapid.String().Draw(t, "name"), Language: rapid.SampledFrom([]string{"", "en", "de-CH", "nl"}).Draw(t, "language"), Attributes: map[string]any{"day": rapid.Float64().Draw(t, "day"), "manager": rapid.String().Draw(t, "manager")}},
			Options{Anonymous: rapid.Bool().Draw(t, "anonymous"), Variant: rapid.SampledFrom([]string{"", "a", "b", "z"}).Draw(t, "variant")})
		holds(t, f, s, turn)
		for _, in := range rapid.SliceOfN(inputs(), 0, 40).Draw(t, "inputs") {
			before, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			next, turn := talker.Next(s, in)
			if after, _ := json.Marshal(s); !bytes.Equal(before, after) {
				t.Fatalf("%q changed the state it was given", in.Text)
			}
			var stored State
			if err := json.Unmarshal(before, &stored); err != nil {
				t.Fatal(err)
			}
			again, same := talker.Next(stored, in)
			if !reflect.DeepEqual(turn, same) || asJSON(next) != asJSON(again) {
				t.Fatalf("%q from the stored state:\n%+v\nand without storing:\n%+v", in.Text, same, turn)
			}
			holds(t, f, next, turn)
			s = next
		}
	})
}

func asJSON(v any) string {
	out, err := json.Marshal(v)
	return string(out) + func() string {
		if err != nil {
			return err.Error()
		}
		return ""
	}()
}

// holds is what is true of every turn.
func holds(t interface{ Fatalf(string, ...any) }, f *Flow, s State, turn Turn) {
	if size := len(asJSON(s)); size > MaxState {
		t.Fatalf("the state has %d bytes", size)
	}
	if len(turn.Say) > maxSilent+5 {
		t.Fatalf("%d lines at once", len(turn.Say))
	}
	open := (&talk{Talker: Talker{Flow: f}, state: s}).open()
	if (s.Phase == Asking) != (open != nil) || turn.Ended != (s.Phase == Ended) || turn.Stopped != (s.Phase == Stopped) {
		t.Fatalf("phase %s at %q, ended %v, stopped %v", s.Phase, s.Step, turn.Ended, turn.Stopped)
	}
	for i, l := range turn.Say {
		if l.Text == "" || strings.Contains(l.Text, "{min}") || strings.Contains(l.Text, "{max}") || strings.Contains(l.Text, "{helplines}") {
			t.Fatalf("it says %q", l.Text)
		}
		if l.Question == nil {
			continue
		}
		if i != len(turn.Say)-1 || open == nil || l.Question.ID != open.id {
			t.Fatalf("the question %s is asked at %d of %d lines, open is %s", l.Question.ID, i+1, len(turn.Say), s.Step)
		}
	}
	for _, a := range turn.Answers {
		q := f.steps[f.index[a.Question]]
		switch {
		case !q.asks() || a.Kind != q.kind:
			t.Fatalf("an answer to %s, %s", a.Question, a.Kind)
		case a.Skipped && (a.Values != nil || a.Score != nil || a.Text != ""):
			t.Fatalf("%s is skipped and answered", a.Question)
		case a.Skipped:
		case (q.kind == Mood || q.kind == Scale) && (a.Score == nil || *a.Score < q.min || *a.Score > q.max || a.Values[0] != strconv.Itoa(*a.Score)):
			t.Fatalf("%s has no score within bounds: %+v", a.Question, a)
		case q.kind == Choice && len(a.Values) != 1, q.kind == Multi && (len(a.Values) < q.min || len(a.Values) > q.max):
			t.Fatalf("%s has %v", a.Question, a.Values)
		case q.kind == Text && (a.Text == "" || len([]rune(a.Text)) > q.length):
			t.Fatalf("%s has %d characters", a.Question, len([]rune(a.Text)))
		}
	}
	if turn.Unclear && len(turn.Answers) > 0 || turn.Outside && open != nil {
		t.Fatalf("unclear %v, outside %v, %v", turn.Unclear, turn.Outside, turn.Answers)
	}
}

// plainValue is a document as a reader of JSON has it.
func plainValue(n *node) any {
	switch n.shape {
	case isNumber:
		return json.Number(n.text)
	case isBool:
		return strings.EqualFold(n.text, "true")
	case isNull:
		return nil
	case isList:
		out := []any{}
		for _, v := range n.values {
			out = append(out, plainValue(v))
		}
		return out
	case isMap:
		out := map[string]any{}
		for i, k := range n.keys {
			out[k.text] = plainValue(n.values[i])
		}
		return out
	}
	return n.text
}

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaAgrees: what Parse accepts is valid by the schema, as another
// implementation of JSON Schema reads it; what has a wrong key is not.
func TestSchemaAgrees(t *testing.T) {
	s := compiled(t)
	for _, name := range Shipped() {
		text, _ := Document(name)
		root, problems := read(text)
		if problems != nil {
			t.Fatal(problems)
		}
		if err := s.Validate(plainValue(root)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{document(plain), document(questions)} {
		root, _ := read([]byte(text))
		if err := s.Validate(plainValue(root)); err != nil {
			t.Error(err)
		}
	}
	for _, file := range []string{"unknown_keys.yaml", "no_otherwise.yaml", "keys.json", "texts.yaml", "words.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata/broken", file))
		if err != nil {
			t.Fatal(err)
		}
		root, problems := read(text)
		if problems != nil {
			t.Fatal(problems)
		}
		if s.Validate(plainValue(root)) == nil {
			t.Errorf("the schema accepts %s", file)
		}
	}
}

// FuzzParse: no document makes the parser panic; what it refuses has problems
// with places; what it accepts is valid by the schema and can be led.
func FuzzParse(f *testing.F) {
	for _, name := range Shipped() {
		text, _ := Document(name)
		f.Add(text)
	}
	f.Add([]byte(document(plain)))
	f.Add([]byte(document(questions)))
	files, _ := filepath.Glob("testdata/broken/*")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, ".want") {
			f.Add(text)
		}
	}
	schema := compiled(f)
	breaks := strings.NewReplacer("\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n") // YAML has more than one
	f.Fuzz(func(t *testing.T, text []byte) {
		flow, err := Parse(text)
		if err != nil {
			problems, ok := err.(Problems) //nolint:errorlint // it is what Parse promises
			if !ok || len(problems) == 0 || len(problems) > maxProblems+1 || flow != nil {
				t.Fatalf("refused with %v", err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Text == "" || p.Line > strings.Count(breaks.Replace(string(text)), "\n")+2 {
					t.Fatalf("a problem at no place: %+v", p)
				}
			}
			return
		}
		root, _ := read(text)
		if err := schema.Validate(plainValue(root)); err != nil {
			t.Fatalf("accepted, and not valid by the schema: %v", err)
		}
		talker := Talker{Flow: flow, Sentiment: toneOf, Helplines: helplinesFor}
		s, turn := talker.Open(Person{Name: "Ann"}, Options{})
		holds(t, flow, s, turn)
		for i := range 60 {
			s, turn = talker.Next(s, Input{Text: said[i%len(said)], Event: Event(i % 7 / 6 * 2)})
			holds(t, flow, s, turn)
		}
	})
}

// FuzzNext: no state, however it was made, and no input makes Next panic.
func FuzzNext(f *testing.F) {
	var talkers []Talker
	for _, name := range Shipped() {
		talkers = append(talkers, Talker{Flow: shipped(f, name), Sentiment: toneOf, Helplines: helplinesFor})
	}
	for i, t := range talkers {
		s, _ := t.Open(Person{Name: "Ann"}, Options{Language: []string{"en", "de", "nl"}[i%3]})
		for j, text := range said {
			f.Add([]byte(asJSON(s)), uint8(i), text, uint8(j%3))
			s, _ = t.Next(s, Input{Text: text})
		}
	}
	f.Add([]byte(`{"phase":"asking","step":"mood"}`), uint8(1), "4", uint8(0))
	f.Add([]byte(`{"flow":"pulse","phase":"waiting","step":"mood","answers":[{"question":"drivers","score":3}]}`), uint8(1), "4", uint8(2))
	f.Fuzz(func(t *testing.T, state []byte, which uint8, text string, event uint8) {
		var s State
		if json.Unmarshal(state, &s) != nil {
			return
		}
		talker := talkers[int(which)%len(talkers)]
		in := Input{Text: text, Event: Event(event % 3), Danger: event >= 250}
		next, turn := talker.Next(s, in)
		again, same := talker.Next(s, in)
		if !reflect.DeepEqual(turn, same) || asJSON(next) != asJSON(again) {
			t.Fatal("twice the same is not the same")
		}
		_ = turn.Plain()
		if s.Hash == talker.Flow.Hash() && len(state) < 1024 {
			if size := len(asJSON(next)); size > MaxState {
				t.Fatalf("the state has %d bytes", size)
			}
		}
	})
}

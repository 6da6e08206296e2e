package people_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bearhug/bearhug/audience"
	"github.com/bearhug/bearhug/people"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRead(t *testing.T) {
	const head = "ID,jid,E-Mail,Name,Time zone,Language,Manager,Team,Start date,Cost Centre,Grade\r\n"
	for name, c := range map[string]struct {
		text string
		want string // rows, then problems, then the error
	}{
		"all": {"\xef\xbb\xbf" + head + "17,Anna@Example.org,Anna@Example.org,\"Köhler, \"\"Anna\"\"\",Europe/Berlin,de-de,1,Ops,2024-02-29,DE-7,7.5\r\n",
			`17 anna anna@example.org "Köhler, \"Anna\"" Europe/Berlin de-DE 1 Ops 2024-02-29 map[cost_centre:DE-7 grade:7.5]`},
		"semicolons":   {"id;name;team\n1;\"a;b\";Ops, North\n", `1   "a;b"    Ops, North  map[]`},
		"tabs":         {"id\tname\n1\tx\n", `1   "x"      map[]`},
		"sep=":         {"sep=;\r\nid;name\r\n1;x\r\n2;\"y\n", "1   \"x\"      map[]\nline 4: not CSV: extraneous or missing \" in quoted-field; write a quotation mark within quotation marks twice: \"\""},
		"no id":        {"email,name\na@b.example,x\n", `a@b.example  a@b.example "x"      map[]`},
		"jid alone":    {"jid\nanna\n", `anna@example.org anna  ""      map[]`},
		"german dates": {"id,start\n1,1.3.2024\n", `1   ""     2024-03-01 map[]`},
		"html, formulas": {"id,name,team\n1,<script>alert(1)</script>,\"=HYPERLINK(\"\"http://x\"\")\"\n2,'=1+1,''=2\n",
			"1   \"<script>alert(1)</script>\"    =HYPERLINK(\"http://x\")  map[]\n2   \"=1+1\"    '=2  map[]"},
		"empty lines": {"id,name\n\n1,x\n  \n\n", `1   "x"      map[]`},

		"zone":     {"id,zone\n1,Berlin\n2,Europe/Berlin\n3,../../etc/passwd\n4,Local\n", "2   \"\" Europe/Berlin     map[]\nline 2, column zone, \"Berlin\": no time zone; write one of the IANA data base, such as Europe/Berlin\nline 4, column zone, \"../../etc/passwd\": no time zone; write one of the IANA data base, such as Europe/Berlin\nline 5, column zone, \"Local\": no time zone; write one of the IANA data base, such as Europe/Berlin"},
		"language": {"id,Lang\n1,deutsch\n", `line 2, column Lang, "deutsch": no language; write its code, such as en, de or nl-BE`},
		"date":     {"id,start\n1,02/03/2024\n2,2024-02-30\n", "line 2, column start, \"02/03/2024\": no date; write year, month and day, as 2026-11-22\nline 3, column start, \"2024-02-30\": no date; write year, month and day, as 2026-11-22"},
		"mail": {"email\nanna\nAnna <a@b.example>\na@b.example,\n\"a@b.example\r\nBcc: c@d.example\"\n", "a@b.example  a@b.example \"\"      map[]\nline 2, column email, \"anna\": no e-mail address; write one such as anna@example.org\n" +
			"line 3, column email, \"Anna <a@b.example>\": no e-mail address; write one such as anna@example.org\nline 5, column email, \"a@b.example\\nBcc: c@d.example\": no e-mail address; write one such as anna@example.org"},
		"other organisation": {"jid\na@example.net\n", `line 2, column jid, "a@example.net": an address of another organisation, example.net; write one that ends in @example.org, or import the file there`},
		"account":            {"jid\na@example.org/phone\n", `line 2, column jid, "a@example.org/phone": no address in chat; write one such as anna@example.org, or anna alone`},
		"twice":              {"id\n1\n2\n1\n", "1   \"\"      map[]\n2   \"\"      map[]\nline 4, \"1\": this person is in line 2 already; write one line for each person"},
		"columns":            {"id,name\n1\n2,x,y\n3,x,\n", "3   \"x\"      map[]\nline 2: 1 columns, but the first line names 2; write a value with a separator in it within quotation marks\nline 3: 3 columns, but the first line names 2; write a value with a separator in it within quotation marks"},
		"nobody":             {"id,email,name\n,,x\n", "line 2: nothing says who this is; write an id, an e-mail address or an address in chat"},
		"control characters": {"id,name\n1,\"a\x07b\"\n", "line 2, column name, \"a\\ab\": it has characters that cannot be printed; write text only"},
		"kind":               {"id,site\n1,x\n2,5\n", "2   \"\"      map[site:5]\nline 2, column site, \"x\": no number, as the others of this column are; write a number such as 7.5, or nothing"},
		"two in one line":    {"id,zone,lang\n1,x,y\n", "line 2, column zone, \"x\": no time zone; write one of the IANA data base, such as Europe/Berlin\nline 2, column lang, \"y\": no language; write its code, such as en, de or nl-BE"},

		"empty":         {"", "the file is empty: its first line"},
		"head only":     {"id,name\n", "the file has no people"},
		"no head":       {"1,anna@example.org,Anna\n", "the first line has \"anna@example.org\": it has to name the columns"},
		"hole":          {"id,,name\n", "column 2 has no heading"},
		"same":          {"id,Grade,grade \n", `the columns "Grade" and "grade" are the same, grade`},
		"same standard": {"id,e-mail,mail\n", `the columns "e-mail" and "mail" are the same, email`},
		"who":           {"name,team\nx,y\n", "the file has neither a column id nor email nor jid"},
		"computed":      {"id,tenure_days\n1,2\n", "a column cannot be called \"tenure_days\""},
		"utf-16":        {"\xff\xfei\x00d\x00", "the file is UTF-16"},
		"latin-1":       {"id,name\n1,K\xf6hler\n", "line 2, column name is not UTF-8: save the file as CSV UTF-8"},
		"mac":           {"id,name\r1,x\r", "the lines of the file end in CR alone"},
		"pipes":         {"id|name\n1|x\n", "the columns are separated by |"},
		"both":          {"id;a,name\n", "the first line has as many"},
		"many columns":  {"id" + strings.Repeat(",a", 300) + "\n", "the file has 301 columns: at most 200"},
	} {
		f, err := people.Read(iotest.HalfReader(strings.NewReader(c.text)), "example.org", []audience.Field{{Name: "site", Kind: audience.Number}})
		var got []string
		if err != nil {
			got = append(got, err.Error())
		} else {
			for _, r := range f.Rows {
				start := ""
				if !r.Start.IsZero() {
					start = r.Start.Format("2006-01-02")
				}
				got = append(got, fmt.Sprintf("%s %s %s %q %s %s %s %s %s %v", r.Key, r.Account, r.Email, r.Name, r.Zone, r.Language, r.Manager, r.Team, start, r.Attrs))
			}
			for _, p := range f.Problems {
				got = append(got, p.String())
			}
		}
		text := strings.Join(got, "\n")
		if err == nil && text != c.want || err != nil && (!strings.HasPrefix(text, c.want) || c.want == "") {
			t.Errorf("%s:\n%s\nwant:\n%s", name, text, c.want)
		}
	}
}

func TestKinds(t *testing.T) {
	f, err := people.Read(strings.NewReader("id,a,b,c,d,site,old\n1,1,2024-01-01,yes,x,,\n2,2.5,,no,1,,\n"), "example.org",
		[]audience.Field{{Name: "old", Kind: audience.Text}})
	if err != nil || len(f.Problems) > 0 {
		t.Fatal(f, err)
	}
	got := map[string]audience.Kind{}
	for _, x := range f.Fields {
		got[x.Name] = x.Kind
	}
	want := map[string]audience.Kind{"a": audience.Number, "b": audience.Date, "c": audience.Bool, "d": audience.Text, "old": audience.Text}
	if d := cmp.Diff(want, got); d != "" { // site has no values: it is no attribute yet
		t.Error(d)
	}
}

func TestTooMany(t *testing.T) {
	f, err := people.Read(strings.NewReader("id,zone\n"+strings.Repeat("1,x\n", 3000)), "example.org", nil)
	if err != nil || !f.Unread || len(f.Problems) != people.MaxProblems || f.Refused != people.MaxProblems {
		t.Errorf("%d problems, %v, %v", len(f.Problems), f.Unread, err)
	}
	endless := iotest.DataErrReader(&repeat{text: "id\n", again: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
	if _, err := people.Read(endless, "example.org", nil); err == nil || !strings.Contains(err.Error(), "more than 128 MiB") {
		t.Error(err)
	}
}

// repeat never ends.
type repeat struct{ text, again string }

func (r *repeat) Read(p []byte) (int, error) {
	if r.text == "" {
		r.text = r.again
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

// TestNeutral: no cell begins as a formula does, and what is written is read
// again.
func TestNeutral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`'{0,3}[=+@%|-]?'{0,2}[a-z1+]{0,5}`)).Draw(t, "text")
		out := people.Neutral(text)
		if people.Plain(out) != text {
			t.Fatalf("%q is written as %q and read as %q", text, out, people.Plain(out))
		}
		if out != "" && strings.ContainsRune("=+-@\t\r|%", rune(out[0])) {
			t.Fatalf("%q begins as a formula", out)
		}
	})
}

func TestWrite(t *testing.T) {
	const text = "id,jid,email,name,zone,language,manager,team,start,site\n" +
		"'=1,anna@example.org,a@b.example,\"<b>\"\"\",Europe/Berlin,de,'-7,'@x,2024-02-29,'+49 30\n"
	f, err := people.Read(strings.NewReader(text), "example.org", nil)
	if err != nil || len(f.Problems) > 0 || f.Rows[0].Key != "=1" || f.Rows[0].Attrs["site"] != "+49 30" {
		t.Fatalf("%+v, %v", f, err)
	}
	var out bytes.Buffer
	w, err := people.NewWriter(&out, "example.org", []string{"site"})
	if err == nil {
		err = w.Write(&f.Rows[0])
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil || out.String() != text {
		t.Errorf("%s, %v", out.String(), err)
	}
	out.Reset()
	if err := people.WriteProblems(&out, []people.Problem{{Line: 2, Column: "zone", Value: "=1", Text: "no time zone", Write: "one"}}); err != nil {
		t.Fatal(err)
	}
	if want := "line,column,value,problem,write\n2,zone,'=1,no time zone,one\n"; out.String() != want {
		t.Errorf("%s", out.String())
	}
}

func FuzzRead(f *testing.F) {
	f.Add("id,name,zone\n1,x,Europe/Berlin\n")
	f.Add("sep=;\r\nid;start\r\n1;1.1.2024\r\n")
	f.Add("\xef\xbb\xbfjid\tGrade\na\t\"7\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := people.Read(strings.NewReader(text), "example.org", nil)
		if err != nil {
			return
		}
		// What was taken is taken again when it is written.
		var out bytes.Buffer
		names := []string{}
		for _, x := range file.Fields {
			names = append(names, x.Name)
		}
		w, err := people.NewWriter(&out, "example.org", names)
		if err != nil {
			t.Fatal(err)
		}
		for i := range file.Rows {
			if err := w.Write(&file.Rows[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil || len(file.Rows) == 0 {
			return
		}
		again, err := people.Read(bytes.NewReader(out.Bytes()), "example.org", file.Fields)
		if err != nil || len(again.Problems) > 0 || len(again.Rows) != len(file.Rows) {
			t.Fatalf("%q\nwritten as %q: %+v, %v", text, out.String(), again, err)
		}
		lines, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(lines) != len(file.Rows)+1 {
			t.Fatal(err)
		}
	})
}

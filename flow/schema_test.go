package flow

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write schema.json and golden files anew")

func TestSchemaIsOfTheTables(t *testing.T) {
	want := makeSchema()
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want) {
		t.Error("schema.json is not what the tables in fields.go say: go test ./flow -run Schema -update")
	}
}

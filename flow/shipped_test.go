package flow

import "testing"

func shipped(t testing.TB, name string) *Flow {
	t.Helper()
	text, ok := Document(name)
	if !ok {
		t.Fatalf("no flow is called %s", name)
	}
	f, err := Parse(text)
	if err != nil {
		t.Fatalf("%s:\n%v", name, err)
	}
	return f
}

func TestShippedFlows(t *testing.T) {
	for _, name := range Shipped() {
		f := shipped(t, name)
		if f.ID() != name {
			t.Errorf("%s.yaml is flow %s", name, f.ID())
		}
		t.Logf("%s: %d steps, anonymous %v, variants %v", name, len(f.steps), f.Anonymous(), f.Variants())
	}
}

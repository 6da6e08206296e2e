package node

import "testing"

// TestSearch: whatever the knee, the greatest rate that is held is found within
// a few tries, and never one above it.
func TestSearch(t *testing.T) {
	for _, knee := range []float64{1.2, 3, 24, 25, 26, 49, 50, 777, 12345, 99999} {
		s, tries := search{rate: firstRate}, 1
		for !s.next(s.rate <= knee) {
			if tries++; tries > 25 {
				t.Fatalf("knee %g: %+v", knee, s)
			}
		}
		if s.low > knee || s.high <= knee || s.high/s.low >= fineEnough {
			t.Errorf("knee %g: %+v after %d tries", knee, s, tries)
		}
	}
	s := search{rate: firstRate}
	for !s.next(true) {
	}
	if s.high != 0 || s.low < greatest/2 {
		t.Errorf("without a knee: %+v", s)
	}
	s = search{rate: firstRate}
	for !s.next(false) {
	}
	if s.low != 0 || s.high > 2*leastRate {
		t.Errorf("nothing is held: %+v", s)
	}
	if n := Conversations(100); n != 3000 {
		t.Errorf("100 exchanges a second are %d conversations", n)
	}
}

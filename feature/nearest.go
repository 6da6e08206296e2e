package feature

import "sort"

// Nearest finds the name that was probably meant by word: the one at the
// smallest edit distance, if that is at most a third of the word's length
// (at least 2). "" when nothing is near. Ties go to the first by name.
func Nearest(word string, names []string) string {
	limit := max(2, len(word)/3)
	sorted := append([]string(nil), names...)
	sort.Strings(sorted)
	best, found := limit+1, ""
	for _, n := range sorted {
		if d := distance(word, n, best); d < best {
			best, found = d, n
		}
	}
	return found
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between a and b, up to limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return min(prev[len(b)], limit)
}

package text

import "fmt"

// meant asks whether one of known was meant by word, each with prefix before it, or is empty when none is near.
func meant(word string, known []string, prefix string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf(" (did you mean %s%s?)", prefix, near)
	}
	return ""
}

// nearest is the known word with the fewest changes to word, if they are few.
func nearest(word string, known []string) string {
	if len(word) > 40 {
		return ""
	}
	best, least := "", 1+min(max(1, len(word)/2), 3)
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, drop or change (Levenshtein); upper and lower case are the same to it.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if lower(a[i]) != lower(b[j]) {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

package policyfile

import "strings"

// maxSlips is how many slips a person makes in one word; with more of them another word was meant.
const maxSlips = 3

// nearest gives the candidate that somebody who wrote word most likely meant, or "". Case makes no difference.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, least := "", 0
	for _, c := range candidates {
		d := distance(word, c)
		if d <= min((len(word)+2)/3, maxSlips) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// maxWord bounds the work that a key of any length makes.
const maxWord = 64

// distance counts the letters to put in, take out or change to turn a into b; two neighbours that changed places count as one.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var rows [maxWord + 1][maxWord + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			rows[i][j] = step(&rows, a, b, i, j)
		}
	}
	return rows[len(a)][len(b)]
}

// step gives the distance between the first i bytes of a and the first j of b, from those of shorter beginnings.
func step(rows *[maxWord + 1][maxWord + 1]int, a, b string, i, j int) int {
	if i == 0 || j == 0 {
		return i + j
	}
	change := rows[i-1][j-1]
	if a[i-1] != b[j-1] {
		change++
	}
	least := min(change, rows[i-1][j]+1, rows[i][j-1]+1)
	if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
		least = min(least, rows[i-2][j-2]+1)
	}
	return least
}

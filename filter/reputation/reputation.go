// Package reputation judges addresses, networks and authenticated domains by the mail that came from them: the checks "reputation" (of the
// client) and "reputation-domains" (of author and signers).
//
//	reputation.go  the arithmetic: an interval for the share of wanted mail, and its band; pure
//	check.go       the checks: which facts
//	evidence.go    what counts as evidence
//
// Two laws hold. Our own deferrals and refusals are never evidence, and mail that was accepted is not wanted for that: wanted needs a sign.
// And a name can be neither spoiled nor borrowed: what counts for or against a domain comes from mail that is authenticated as that domain.
package reputation

import (
	"math"
	"slices"

	"gatepost.example/filter/state"
)

// Words of the facts.
const (
	Good    = "good"
	Neutral = "neutral"
	New     = "new"
	Poor    = "poor"
	Bad     = "bad"
)

// Words gives all bands, best first.
func Words() []string { return slices.Clone(bands) }

var bands = []string{Good, Neutral, New, Poor, Bad}

// Opinion is what the evidence says of somebody.
type Opinion struct {
	Band      string
	Score     float64 // the expected share of wanted mail, 0 to 1
	Low, High float64 // that share lies between them, at 95 of 100
	Weight    float64 // of the own evidence
}

// prior is how much evidence the wider name lends at most: that of the network for an address, of the organizational domain for a domain.
const prior = 4

// Judge gives the opinion over somebody with its own evidence (A wanted, B unwanted, decayed to now) and that of the wider name.
func Judge(own, wider state.Cell) Opinion {
	wanted, unwanted := own.A, own.B
	if n := wider.A + wider.B; n > 0 {
		lent := math.Min(prior, n)
		wanted += lent * wider.A / n
		unwanted += lent * wider.B / n
	}
	o := Opinion{Weight: own.A + own.B, Score: (wanted + 1) / (wanted + unwanted + 2)} // the mean of a Beta(1, 1) prior and the evidence
	o.Low, o.High = Interval(wanted, unwanted)
	o.Band = band(o.Low, o.High, o.Score)
	return o
}

// Interval gives the 95 % interval of a share by E. B. Wilson's score (J. Am. Stat. Assoc. 22, 1927), which holds for few and for lopsided
// observations; weights need not be whole numbers.
func Interval(wanted, unwanted float64) (low, high float64) {
	const z = 1.959964
	n := wanted + unwanted
	if n <= 0 {
		return 0, 1
	}
	p := wanted / n
	center := p + z*z/(2*n)
	spread := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	scale := 1 + z*z/n
	return math.Max(0, (center-spread)/scale), math.Min(1, (center+spread)/scale)
}

// band gives the word for an interval: new while it says little. Nobody becomes neutral whose mail is more likely unwanted, so that no evidence
// against anybody ever opens a door.
func band(low, high, score float64) string {
	switch {
	case high-low > 0.5, high >= 0.5 && score < 0.5:
		return New
	case high < 0.2:
		return Bad
	case high < 0.5:
		return Poor
	case low > 0.8:
		return Good
	}
	return Neutral
}

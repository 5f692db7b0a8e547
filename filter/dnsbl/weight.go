package dnsbl

import "net/netip"

// Weight is what some codes count: for the subject of the question below 0, against it above.
type Weight struct {
	Codes  interface{ Matches(netip.Addr) bool }
	Points int
}

// weigh gives the points of the first weight whose codes have this one, 0 for none.
func weigh(weights []Weight, code netip.Addr) int {
	for _, w := range weights {
		if w.Codes.Matches(code) {
			return w.Points
		}
	}
	return 0
}

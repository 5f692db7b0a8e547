package history

import "slices"

// Same reports whether two decisions are the same bit for bit, but for the text of the reply, which an id and a footer are part of.
func (l *Line) Same(other *Line) bool {
	a, b := l, other
	return slices.Equal(a.Woulds, b.Woulds) && slices.Equal(a.Tags, b.Tags) && slices.Equal(a.Harsher, b.Harsher) && a.Share == b.Share &&
		a.Paused == b.Paused && a.Recipient == b.Recipient && a.Action == b.Action && a.Rule == b.Rule && a.Code == b.Code && a.Enhanced == b.Enhanced &&
		a.Decided == b.Decided && a.Planned == b.Planned && a.Spoken == b.Spoken && a.PutOff == b.PutOff && a.Instead == b.Instead &&
		a.After == b.After && a.What == b.What
}

// SameLines reports whether all decisions of two records are the same.
func SameLines(a, b []Line) bool {
	return slices.EqualFunc(a, b, func(x, y Line) bool { return x.Same(&y) })
}

package history

// Spare gives an empty record with the memory of one that was written. Hand it over by Add, or let it go; after Add it is the store's again.
func (s *Store) Spare() *Record { return s.spares.Get().(*Record) }

func newSpare() any { return &Record{spare: true} }

// maxSpare bounds what a spare record keeps of each of its lists: uncommonly long ones are let go.
const maxSpare = 64

// giveBack takes back those records of a batch that came from Spare, and wipes them.
func (s *Store) giveBack(batch []added) {
	for _, one := range batch {
		if one.record.spare {
			one.record.wipe()
			s.spares.Put(one.record)
		}
	}
}

// lose counts a batch as lost, with what was entered before it.
func (s *Store) lose(batch []added) {
	s.entered += len(batch)
	s.giveBack(batch)
	clear(batch)
	s.drop()
}

// wipe makes the record empty, but for memory.
func (r *Record) wipe() {
	room := r.Room()
	*room = Message{}
	*r = Record{
		spare: true, room: room,
		Recipients: wiped(r.Recipients), Outcomes: wiped(r.Outcomes), Readings: wiped(r.Readings), Lines: wiped(r.Lines),
	}
}

// Room gives memory for the record's Message, which need not be empty.
func (r *Record) Room() *Message {
	if r.room == nil {
		r.room = &Message{}
	}
	return r.room
}

func wiped[T any](list []T) []T {
	if cap(list) > maxSpare {
		return nil
	}
	clear(list[:cap(list)])
	return list[:0]
}

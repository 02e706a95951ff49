package psyc

// Withhold says, in the body of a loop over [Circuit.Packets], that the last n packets that the loop was given, this one included, are
// not done with: in the session they do not count as received, so that the peer sends them again if the circuit breaks. It holds until
// it is called again. Who withholds answers for it that the packets are done with soon, in a later turn of the loop: the peer waits, and
// ends the circuit where it waits too long ([Sessions].Timeout). Where nothing is counted it does nothing.
func (c *Circuit) Withhold(n int) {
	if s := c.receiving; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.withheld.most = n
	}
}

// A withheld is packets that have been handed out and are not done with, oldest first.
type withheld struct {
	packets []packetCount
	most    int // as the loop over Packets has it
}

// A packetCount is of a packet that was handed out, together with those behind it that were not.
type packetCount struct{ n, size int }

// add takes n packets in, of so many bytes, the first of which was handed out, or none if out is false. It returns how many count
// now, and their bytes.
func (w *withheld) add(n, size int, out bool) (int, int) {
	if !out && len(w.packets) > 0 {
		last := &w.packets[len(w.packets)-1]
		last.n += n
		last.size += size
		return 0, 0
	}
	if w.most == 0 && len(w.packets) == 0 {
		return n, size
	}
	w.packets = append(w.packets, packetCount{n, size})
	n, size = 0, 0
	for len(w.packets) > w.most {
		n += w.packets[0].n
		size += w.packets[0].size
		w.packets = w.packets[1:]
	}
	return n, size
}

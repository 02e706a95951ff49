package main

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/transcode"
	"github.com/switchyard-im/switchyard/uniform"
	"github.com/switchyard-im/switchyard/xmpp"
)

// An effort is the processor time that a stanza takes on this machine, in nanoseconds: at the sender from the stanza to the bytes of
// the stream, at the receiver back.
type effort struct{ send, receive float64 }

// How many stanzas are timed, and how often. The fastest time counts: it is that in which the machine did nothing else.
const (
	timedStanzas = 1000
	timedRounds  = 100
)

// measure times every protocol on the busiest link of the sample.
func (f *federation) measure() (all [protocols]effort, err error) {
	if len(f.links) == 0 {
		return all, nil
	}
	j := newJournal(f.graph)
	j.write(f.links[0])
	var runs [][]*xmpp.Stanza
	stanzas := 0
	for _, e := range j.events {
		var run []*xmpp.Stanza
		for _, to := range e.to {
			s := *e.stanza
			s.To = to
			run = append(run, &s)
		}
		runs = append(runs, run)
		if stanzas += len(run); stanzas >= timedStanzas {
			break
		}
	}
	if stanzas == 0 {
		return all, nil
	}
	root := uniform.MustParseJID(domain(f.links[0].to)).Uniform().String()
	for range timedRounds {
		for p := range all {
			var stream bytes.Buffer
			begin := time.Now()
			if err := send(&stream, protocol(p), runs); err != nil {
				return all, fmt.Errorf("timing %s: %w", protocol(p), err)
			}
			sent := time.Since(begin)
			begin = time.Now()
			n, err := receive(&stream, protocol(p), root)
			if err == nil && n != stanzas {
				err = fmt.Errorf("%d of %d stanzas arrived", n, stanzas)
			}
			if err != nil {
				return all, fmt.Errorf("timing %s: %w", protocol(p), err)
			}
			all[p].take(sent, time.Since(begin), stanzas)
		}
	}
	return all, nil
}

// take keeps the faster times.
func (e *effort) take(sent, received time.Duration, stanzas int) {
	faster := func(old *float64, d time.Duration) {
		if t := float64(d.Nanoseconds()) / float64(stanzas); *old == 0 || t < *old {
			*old = t
		}
	}
	faster(&e.send, sent)
	faster(&e.receive, received)
}

// send writes runs of stanzas that differ in to alone.
func send(w *bytes.Buffer, p protocol, runs [][]*xmpp.Stanza) error {
	var conv transcode.Converter
	var out transcode.FanOut
	var buf []byte
	var deflate *flate.Writer
	if p == zlibStanza || p == zlibWrite {
		var err error
		if deflate, err = flate.NewWriter(w, flate.DefaultCompression); err != nil {
			return err
		}
	}
	for _, run := range runs {
		for _, s := range run {
			switch p {
			case plainXMPP:
				buf = s.Append(buf[:0])
				w.Write(buf)
			case zlibStanza, zlibWrite:
				buf = s.Append(buf[:0])
				deflate.Write(buf) // to memory
				if p == zlibStanza {
					deflate.Flush()
				}
			case unicast:
				packet, err := conv.Packet(s)
				if err != nil {
					return err
				}
				if buf, err = packet.Append(buf[:0], psyc.PSYC10); err != nil {
					return err
				}
				w.Write(buf)
			case fanOut:
				out.Add(time.Time{}, s, nil)
			}
		}
		switch p {
		case zlibWrite:
			deflate.Flush()
		case fanOut:
			out.FlushAll()
			for parcel, err := range out.Parcels() {
				if err != nil {
					return err
				}
				if buf, err = parcel.Packet.Append(buf[:0], psyc.PSYC10); err != nil {
					return err
				}
				w.Write(buf)
				out.Confirm(parcel.Cast)
			}
		}
	}
	return nil
}

// receive reads what send wrote, and returns how many stanzas that was.
func receive(r *bytes.Buffer, p protocol, root string) (stanzas int, err error) {
	switch p {
	case plainXMPP:
		return receiveXMPP(r)
	case zlibStanza, zlibWrite:
		return receiveXMPP(&openEnd{flate.NewReader(r)})
	}
	var conv transcode.Converter
	in := transcode.FanIn{Root: root}
	for packet, err := range psyc.NewDecoder(r).Packets() {
		if err != nil {
			return stanzas, err
		}
		if p == unicast {
			if _, err := conv.Stanza(packet); err != nil {
				return stanzas, err
			}
			stanzas++
			continue
		}
		for _, err := range in.Receive(time.Time{}, packet) {
			if err != nil {
				return stanzas, err
			}
			stanzas++
		}
		in.Replies()
	}
	return stanzas, nil
}

func receiveXMPP(r io.Reader) (stanzas int, err error) {
	for _, err := range xmpp.NewDecoder(r).Stanzas() {
		if err != nil {
			return stanzas, err
		}
		stanzas++
	}
	return stanzas, nil
}

// An openEnd is a compressed stream that was never closed, as that of a connection.
type openEnd struct{ io.Reader }

func (r *openEnd) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

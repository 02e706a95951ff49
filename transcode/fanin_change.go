package transcode

import (
	"errors"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/uniform"
)

// errDoubt means that an audience is not here in the version that a packet relies on.
var errDoubt = errors.New("audience in doubt")

// A change is what a packet says about an audience, and what it becomes by that.
type change struct {
	number, version uint64
	ops             []psyc.Var // on varMembers
	only, without   psyc.Value
	rest            psyc.Vars // all that belongs to the stanza
	audience        *audience
}

// read takes p apart.
func (c *change) read(p *psyc.Packet) error {
	*c = change{ops: c.ops[:0], rest: c.rest[:0]}
	seen := 0
	for _, v := range p.Entity {
		set := v.Op == psyc.Set || v.Op == 0
		switch {
		case v.Name == varAudience && set:
			seen++
		case v.Name == varCasts:
		case v.Name == varMembers && (v.Op == psyc.Assign || v.Op == psyc.Augment || v.Op == psyc.Diminish):
			c.ops = append(c.ops, v)
		case v.Name == varOnly && set && c.only == nil && c.without == nil:
			c.only = v.Value
		case v.Name == varWithout && set && c.only == nil && c.without == nil:
			c.without = v.Value
		case psyc.Inherits(v.Name, varMembers) || psyc.Inherits(v.Name, varAudience):
			return audienceError(methodAudienceInvalid, "%c%s makes no sense here", v.Op, v.Name)
		default:
			c.rest = append(c.rest, v)
		}
	}
	if seen != 1 || p.State != 0 || p.Method == "" && (len(c.rest) > 0 || c.only != nil || c.without != nil) {
		return audienceError(methodAudienceInvalid, "packet is neither a cast nor a change")
	}
	for i, v := range c.ops {
		first := i == 0 && (v.Op == psyc.Assign || v.Op == psyc.Diminish)
		last := i == len(c.ops)-1 && v.Op == psyc.Augment && c.ops[0].Op != psyc.Assign
		if !first && !last || len(c.ops) > 2 || v.Op == psyc.Diminish && len(v.Value) == 0 && p.Method != "" {
			return audienceError(methodAudienceInvalid, "changes in no order")
		}
	}
	var err error
	c.number, c.version, err = readAudience(p.Entity.Get(varAudience))
	return err
}

// apply finds the audience that f.change speaks of and brings it up to date.
func (f *FanIn) apply(p *psyc.Packet) error {
	c := &f.change
	context := p.Routing.Get(varContext)
	a := f.audiences[audienceKey{string(context), c.number}]
	c.audience = a
	if len(c.ops) == 0 {
		if a == nil || a.version != c.version {
			return errDoubt
		}
		f.list.use(a)
		return nil
	}
	members, err := []uniform.JID(nil), error(nil)
	switch first := &c.ops[0]; {
	case first.Op == psyc.Diminish && len(first.Value) == 0:
		f.drop(a)
		return nil
	case first.Op == psyc.Assign:
		if members, err = f.assigned(first.Value); err != nil {
			return err
		}
	case a == nil:
		return errDoubt
	case a.version == c.version: // as it was told in answer to a question
		f.list.use(a)
		return nil
	case a.version+1 != c.version:
		return errDoubt
	default:
		if members, err = f.changed(a); err != nil {
			return err
		}
	}
	if err := f.admitAll(members, context); err != nil {
		return err
	}
	if a == nil {
		a = &audience{context: string(context), number: c.number}
		if f.audiences == nil {
			f.audiences = make(map[audienceKey]*audience)
		}
		f.audiences[audienceKey{a.context, a.number}] = a
		c.audience = a
	}
	f.list.use(a)
	f.list.resize(a, members)
	a.version = c.version
	f.trim()
	return nil
}

// assigned returns the members of an audience that is assigned, each there once.
func (f *FanIn) assigned(v psyc.Value) ([]uniform.JID, error) {
	members, err := readMembers(v, f.Limits.WithDefaults().Entries, &f.conv.book)
	if err != nil {
		return nil, err
	}
	seen := make(map[uniform.JID]bool, len(members))
	for _, j := range members {
		if seen[j] {
			return nil, audienceError(methodAudienceInvalid, "%q is in it twice", j)
		}
		seen[j] = true
	}
	return members, nil
}

// changed returns the members of a after what f.change takes away and adds. What cannot be taken away, or is there
// already, means that the audience here is not the sender's.
func (f *FanIn) changed(a *audience) ([]uniform.JID, error) {
	limit := f.Limits.WithDefaults().Entries
	gone := make(map[uniform.JID]bool)
	var added []uniform.JID
	for _, v := range f.change.ops {
		these, err := readMembers(v.Value, limit, &f.conv.book)
		if err != nil {
			return nil, err
		}
		if v.Op == psyc.Augment {
			added = these
			continue
		}
		for _, j := range these {
			if a.position(j) < 0 || gone[j] {
				return nil, errDoubt
			}
			gone[j] = true
		}
	}
	if len(a.members)-len(gone)+len(added) > limit {
		return nil, audienceError(methodAudienceExhausted, "more than %d members", limit)
	}
	members := make([]uniform.JID, 0, len(a.members)-len(gone)+len(added))
	for _, j := range a.members {
		if !gone[j] {
			members = append(members, j)
		}
	}
	fresh := make(map[uniform.JID]bool, len(added))
	for _, j := range added {
		if a.position(j) >= 0 && !gone[j] || fresh[j] {
			return nil, errDoubt
		}
		fresh[j] = true
	}
	return append(members, added...), nil
}

// admitAll checks the members when they are set; they are checked again when they are used.
func (f *FanIn) admitAll(members []uniform.JID, context []byte) error {
	from, err := f.conv.book.jid(context, nil)
	if err != nil {
		return err
	}
	domain := ""
	for _, j := range members {
		if d := j.Domain(); d != domain {
			if err := f.admit(d, from.Domain()); err != nil {
				return err
			}
			domain = d
		}
	}
	return nil
}

// drop forgets an audience, which may be nil.
func (f *FanIn) drop(a *audience) {
	if a == nil {
		return
	}
	f.list.remove(a)
	delete(f.audiences, audienceKey{a.context, a.number})
}

// trim drops audiences in excess of the limits and tells the sender.
func (f *FanIn) trim() {
	for a := f.list.excess(f.Limits.WithDefaults()); a != nil; a = f.list.excess(f.Limits.WithDefaults()) {
		f.drop(a)
		f.tell(a.context, appendAudience(nil, a.number, a.version), methodAudienceRemoved)
	}
}

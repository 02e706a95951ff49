package psyc

import (
	"iter"
	"strconv"
)

// An Index is one step into a structured value. Kind tells which of the other fields counts.
type Index struct {
	Kind IndexKind
	N    uint64 // element of a list, from 0
	Name string // member of a struct, with its underscore
	Key  Value  // entry of a dict
}

// An IndexKind is the byte that begins a step.
type IndexKind byte

// Kinds of steps.
const (
	InList   IndexKind = '#'
	InStruct IndexKind = '.'
	InDict   IndexKind = '{'
)

// An UpdateExpr is the value of a variable with the operator Update: what happens to which part.
type UpdateExpr struct {
	Index   []Index // from the outside in; none means the whole value
	Op      Op      // zero in an empty expression
	Element         // what is assigned, added or taken away
}

// Index yields the steps of an index that stands alone:
//
//	index = *( "#" 1*DIGIT / "." name / "{" key "}" )
//
// Keys are written as in a dict. A broken index ends with an *[Error].
func (v Value) Index() iter.Seq2[Index, error] {
	return func(yield func(Index, error) bool) {
		for i := 0; i < len(v); {
			step, next, err := v.step(i)
			if err != nil {
				yield(Index{}, err)
				return
			}
			if !yield(step, nil) {
				return
			}
			i = next
		}
	}
}

// step reads a step at i.
func (v Value) step(i int) (x Index, next int, err error) {
	x.Kind = IndexKind(v[i])
	switch x.Kind {
	case InList:
		n, j, err := digits(v, i+1, errUpdate)
		if err != nil {
			return x, 0, err
		}
		if j == i+1 {
			return x, 0, itemError(errUpdate, j, "number expected")
		}
		x.N = uint64(n)
		return x, j, nil
	case InStruct:
		j := i + 1
		for j < len(v) && keywordByte[v[j]] {
			j++
		}
		if j == i+1 {
			return x, 0, itemError(errUpdate, j, "name expected")
		}
		x.Name = (*names)(nil).intern(v[i+1 : j])
		return x, j, nil
	case InDict:
		x.Key, next, err = v.key(i, errUpdate)
		return x, next, err
	}
	return x, 0, itemError(errUpdate, i, "neither an element nor a member nor a key")
}

// Update reads an update expression:
//
//	update = index SP oper [ type ] [ ":" length SP counted / SP rest ]
//
// Bytes behind a counted value are not looked at. An empty value is an empty expression.
func (v Value) Update() (UpdateExpr, error) {
	var u UpdateExpr
	i := 0
	for i < len(v) && v[i] != ' ' {
		x, next, err := v.step(i)
		if err != nil {
			return u, err
		}
		u.Index = append(u.Index, x)
		i = next
	}
	if len(v) == 0 {
		return u, nil
	}
	if i++; i >= len(v) || !operator[v[i]] {
		return u, itemError(errUpdate, min(i, len(v)), "operator expected")
	}
	u.Op = Op(v[i])
	i++
	j := i
	for j < len(v) && keywordByte[v[j]] {
		j++
	}
	u.Type = (*names)(nil).intern(v[i:j])
	switch {
	case j == len(v):
		u.Value = v[j:j:j]
		return u, nil
	case v[j] == ' ':
		u.Value = v[j+1:]
		return u, nil
	case v[j] != ':':
		return u, itemError(errUpdate, j, "illegal byte in a type")
	}
	n, k, err := digits(v, j+1, errUpdate)
	switch {
	case err != nil:
		return u, err
	case k == j+1 || k == len(v) || v[k] != ' ':
		return u, itemError(errUpdate, k, "length and blank expected")
	case n > int64(len(v)-k-1):
		return u, itemError(errUpdate, k, "value is shorter than its length")
	}
	u.Value = v[k+1 : k+1+int(n) : k+1+int(n)]
	return u, nil
}

// AppendUpdate appends the form that [Value.Update] reads.
func AppendUpdate(dst []byte, u UpdateExpr) []byte {
	if u.Op == 0 {
		return dst
	}
	for _, x := range u.Index {
		switch x.Kind {
		case InList:
			dst = strconv.AppendUint(append(dst, '#'), x.N, 10)
		case InStruct:
			dst = append(append(dst, '.'), x.Name...)
		case InDict:
			dst = appendKey(dst, x.Key)
		}
	}
	dst = append(dst, ' ', byte(u.Op))
	dst = append(dst, u.Type...)
	switch {
	case len(u.Value) == 0:
		return dst
	case len(u.Value) >= shortest:
		dst = strconv.AppendInt(append(dst, ':'), int64(len(u.Value)), 10)
	}
	return append(append(dst, ' '), u.Value...)
}

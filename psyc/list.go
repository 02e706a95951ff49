package psyc

import (
	"bytes"
	"iter"
	"strconv"
)

// shortest is the length in bytes from which libpsyc, and this package, announce a value, an element or a body.
const shortest = 10

// appendElement appends a list element in the form of PSYC 1.0.
func appendElement(dst []byte, typ string, value []byte) []byte {
	return appendItem(append(dst, '|'), typ, value, '|')
}

// appendItem appends the value of a list element or dict entry. With a length it may hold the byte that ends it.
func appendItem(dst []byte, typ string, value []byte, end byte) []byte {
	counted := len(value) >= shortest || bytes.IndexByte(value, end) >= 0
	if typ != "" {
		dst = append(append(dst, '='), typ...)
		if counted {
			dst = append(dst, ':')
		}
	}
	if len(value) == 0 {
		return dst
	}
	if counted {
		dst = strconv.AppendInt(dst, int64(len(value)), 10)
	}
	return append(append(dst, ' '), value...)
}

// An Element is one typed item of a list or dict.
type Element struct {
	Type  string // "" if the type of the container holds, see [Value.ItemType]
	Value Value
}

// List yields the elements of a _list, or the members of a value that has a _struct type:
//
//	list    = [ type ] *( "|" element )
//	element = [ payload ] / "=" type [ SP text / ":" [ payload ] ]
//	payload = SP text / length SP counted
//
// Text ends at the next bar; exactly one blank in front of it does not belong to it. A list that breaks these rules
// ends with an *[Error]; the elements before it have been yielded.
//
// A list that came in PSYC 0.9 is in the same form. There its elements were lines of their own, and a variable of the
// _list family with a single line is a list of one.
func (v Value) List() iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		i := v.typeEnd()
		for i < len(v) {
			if v[i] != '|' {
				yield(Element{}, itemError(errList, i, "bar expected"))
				return
			}
			e, next, err := v.item(i+1, '|', errList)
			if err != nil {
				yield(Element{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
			i = next
		}
	}
}

// EarlyList yields the elements of a list as the first drafts of PSYC 1.0 wrote it, and psyced to this day:
//
//	list = *( "|" text ) / length SP counted *( "|" length SP counted )
//
// Text may be anything but a bar. No list of two elements or more is valid both here and in [Value.List], but for
// those whose elements all begin with a blank.
func (v Value) EarlyList() iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		text := len(v) > 0 && v[0] == '|'
		for i := 0; i < len(v); {
			start, end := i, len(v)
			if i > 0 || text {
				if v[i] != '|' {
					yield(nil, itemError(errList, i, "bar expected"))
					return
				}
				start++
			}
			if text {
				if n := bytes.IndexByte(v[start:], '|'); n >= 0 {
					end = start + n
				}
			} else {
				n, j, err := digits(v, start, errList)
				switch {
				case err != nil:
				case j == start || j == len(v) || v[j] != ' ':
					err = itemError(errList, j, "length and blank expected")
				case n > int64(len(v)-j-1):
					err = itemError(errList, j, "element is shorter than its length")
				}
				if err != nil {
					yield(nil, err)
					return
				}
				start = j + 1
				end = start + int(n)
			}
			if !yield(v[start:end:end], nil) {
				return
			}
			i = end
		}
	}
}

// AppendList appends a list in the form of PSYC 1.0, with lengths for elements of ten bytes and more and for those
// that hold a bar. typ is the type of all elements that have none of their own; "" leaves it open.
func AppendList(dst []byte, typ string, elems ...Element) []byte {
	dst = append(dst, typ...)
	for _, e := range elems {
		dst = appendElement(dst, e.Type, e.Value)
	}
	return dst
}

// ItemType returns the type that a list or dict gives to all its items, "" if it gives none.
func (v Value) ItemType() string {
	return (*names)(nil).intern(v[:v.typeEnd()])
}

// typeEnd returns the end of the keyword that v begins with.
func (v Value) typeEnd() int {
	i := 0
	for i < len(v) && keywordByte[v[i]] {
		i++
	}
	return i
}

// item reads the value of a list element or dict entry at i, which ends at the byte end or with v. It returns the
// offset of what follows, which the caller checks.
func (v Value) item(i int, end byte, condition string) (e Element, next int, err error) {
	if i < len(v) && v[i] == '=' {
		j := i + 1
		for j < len(v) && keywordByte[v[j]] {
			j++
		}
		if j == i+1 {
			return e, 0, itemError(condition, j, "type expected")
		}
		e.Type = (*names)(nil).intern(v[i+1 : j])
		i = j
		switch {
		case i == len(v) || v[i] == end:
			e.Value = v[i:i:i]
			return e, i, nil
		case v[i] == ':':
			i++
		case v[i] != ' ':
			return e, 0, itemError(condition, i, "illegal byte in a type")
		}
	}
	if i == len(v) || v[i] == end {
		e.Value = v[i:i:i]
		return e, i, nil
	}
	n, j, err := digits(v, i, condition)
	switch {
	case err != nil:
		return e, 0, err
	case j == len(v):
		return e, 0, itemError(condition, j, "length without a value")
	case v[j] != ' ':
		return e, 0, itemError(condition, j, "blank expected in front of the value")
	}
	start := j + 1
	if j == i {
		if next = bytes.IndexByte(v[start:], end); next < 0 {
			next = len(v)
		} else {
			next += start
		}
		e.Value = v[start:next:next]
		return e, next, nil
	}
	if n > int64(len(v)-start) {
		return e, 0, itemError(condition, start, "value is shorter than its length")
	}
	next = start + int(n)
	e.Value = v[start:next:next]
	return e, next, nil
}

const (
	errList   = "_error_invalid_syntax_list"
	errDict   = "_error_invalid_syntax_dict"
	errUpdate = "_error_invalid_syntax_update"
)

// itemError reports where a value breaks the rules of its family; the offset is that in the value.
func itemError(condition string, i int, text string) *Error {
	return syntaxError(condition, int64(i), text)
}

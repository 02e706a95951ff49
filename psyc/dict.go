package psyc

import (
	"bytes"
	"iter"
	"strconv"
)

// An Entry is one pair of a dict.
type Entry struct {
	Key Value
	Element
}

// Dict yields the entries of a _dict:
//
//	dict  = [ type ] *( "{" ( text-key / length SP counted ) "}" item )
//	item  = as the element of a list, but text ends at the next opening brace
//
// A key without a length does not begin with a digit and holds no closing brace; a blank in it belongs to it. (libpsyc
// writes such keys with a blank in front and reads that back as part of the key.) A dict that breaks these rules ends
// with an *[Error]; the entries before it have been yielded.
func (v Value) Dict() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		i := v.typeEnd()
		for i < len(v) {
			key, j, err := v.key(i, errDict)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			e, next, err := v.item(j, '{', errDict)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(Entry{key, e}, nil) {
				return
			}
			i = next
		}
	}
}

// key reads a key in braces at i and returns the offset behind it.
func (v Value) key(i int, condition string) (key Value, next int, err error) {
	if v[i] != '{' {
		return nil, 0, itemError(condition, i, "opening brace expected")
	}
	i++
	n, j, err := digits(v, i, condition)
	switch {
	case err != nil:
		return nil, 0, err
	case j == i:
		n := bytes.IndexByte(v[i:], '}')
		if n < 0 {
			return nil, 0, itemError(condition, len(v), "key without a closing brace")
		}
		return v[i : i+n : i+n], i + n + 1, nil
	case j == len(v) || v[j] != ' ':
		return nil, 0, itemError(condition, j, "blank expected behind the length of a key")
	}
	i = j + 1
	if n >= int64(len(v)-i) || v[i+int(n)] != '}' {
		return nil, 0, itemError(condition, i, "key is not as long as its length says")
	}
	next = i + int(n)
	return v[i:next:next], next + 1, nil
}

// AppendDict appends a dict in the form of PSYC 1.0, with lengths where they are needed and for keys and values of
// ten bytes and more. typ is the type of all values that have none of their own; "" leaves it open.
func AppendDict(dst []byte, typ string, entries ...Entry) []byte {
	dst = append(dst, typ...)
	for _, e := range entries {
		dst = appendKey(dst, e.Key)
		dst = appendItem(dst, e.Type, e.Value, '{')
	}
	return dst
}

// appendKey appends a key in braces.
func appendKey(dst []byte, key Value) []byte {
	dst = append(dst, '{')
	if len(key) >= shortest || len(key) > 0 && key[0]-'0' <= 9 || bytes.IndexByte(key, '}') >= 0 {
		dst = strconv.AppendInt(dst, int64(len(key)), 10)
		dst = append(dst, ' ')
	}
	return append(append(dst, key...), '}')
}

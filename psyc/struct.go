package psyc

import "iter"

// Struct yields the members of a value of a _struct type: a list with the members in the order of the type's
// definition, which is a list of empty elements with the members' names as types:
//
//	definition  |=_nick|=_picture
//	value       | ada|5 a|b|c
//
// Each Element has its member's name as Type. A value that has not exactly these members ends with an *[Error]; the
// members before it have been yielded.
func (v Value) Struct(definition Value) iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		members, err := gather(definition.List())
		if err != nil {
			yield(Element{}, err)
			return
		}
		i := 0
		for e, err := range v.List() {
			switch {
			case err != nil:
			case i == len(members):
				err = structError("more members than its definition")
			case e.Type != "" && !Inherits(e.Type, members[i].Type):
				err = structError("member " + e.Type + " instead of " + members[i].Type)
			case members[i].Type == "" || len(members[i].Value) > 0:
				err = structError("definition is none")
			default:
				e.Type = members[i].Type
			}
			if err != nil {
				yield(Element{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
			i++
		}
		if i < len(members) {
			yield(Element{}, structError("fewer members than its definition"))
		}
	}
}

func structError(text string) *Error { return &Error{Method: errValue + "_struct", Text: text} }

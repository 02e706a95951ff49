package xmlscan

// Limits bound the work and memory that one element can cost. There are no defaults here: a field that is 0 refuses
// everything it counts. Exceeding one is a policy-violation.
type Limits struct {
	Depth     int // levels of elements, the first-level element being 1
	Elements  int // elements in one first-level element, itself included
	Attrs     int // attributes of one element, namespace declarations included; time grows with the square
	Bindings  int // prefix declarations in scope at one time; time grows in proportion
	Name      int // bytes of a qualified name; at most 65,535
	Namespace int // bytes of a namespace name
}

// Package xmlscan reads the XML of RFC 6120 section 11 and nothing else: UTF-8, namespaces checked, no document type, no
// comments, no processing instructions, no entities beyond the predefined five.
//
// A [Scanner] goes once over a growing buffer, checks everything, finds the last byte of each first-level element of a
// stream, and leaves behind an [Index] of offsets into the buffer: no copies, and no allocation once its tables have
// grown to the usual size. Character data has no entries of its own: what lies between two neighbouring tags of the index
// is text, and [AppendText] decodes it.
//
// A byte that arrives alone costs the same as one that arrives in company. Text is checked as it comes; a tag
// that is not complete yet is searched for its end, each byte once, and read when the end is there. What is read
// again, such as a character reference cut in two, is bounded by a constant.
package xmlscan

package uniform

import "strings"

// escaped are the characters of XEP-0106 section 4 besides the backslash.
const escaped = ` "&'/:<>@`

// EscapeLocal makes a localpart of any text by XEP-0106 version 1.1: space, `"&'/:<>@` and the backslashes that would
// begin an escape become \20, \22 and so on. The XEP wants text that neither begins nor ends with a space.
func EscapeLocal(s string) string {
	if !strings.ContainsAny(s, escaped+`\`) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if strings.IndexByte(escaped, c) >= 0 || c == '\\' && escapeAt(s[i:]) != 0 {
			b = append(b, '\\', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// UnescapeLocal undoes EscapeLocal. What is no escape stays as it is.
func UnescapeLocal(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c := escapeAt(s[i:]); c != 0 {
			b = append(b, c)
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// escapeAt returns the character that the escape at the beginning of s stands for, or 0.
func escapeAt(s string) byte {
	if len(s) < 3 || s[0] != '\\' {
		return 0
	}
	high, low := unhex(s[1]), unhex(s[2])
	if high < 0 || low < 0 {
		return 0
	}
	if c := byte(high<<4 | low); c == '\\' || strings.IndexByte(escaped, c) >= 0 {
		return c
	}
	return 0
}

// EscapedJID gives a uniform that has no JID of its own one at a domain of the operator's, which must serve no other
// purpose: psyc://h:4405/~ceo at gw.example is psyc\3a\2f\2fh\3a4405\2f~ceo@gw.example. [JID.EscapedUniform] is the
// way back. The error is a [*NoJIDError] if u has a JID already, or if the localpart would lose something, as
// upper-case letters in an opaque scheme or what exceeds 1023 bytes.
func (u Uniform) EscapedJID(domain string) (JID, error) {
	if u.IsZero() {
		return JID{}, &NoJIDError{u, u.whyNoJID()}
	}
	if _, err := u.JID(""); err == nil {
		return JID{}, &NoJIDError{u, "it needs no escape"}
	}
	d, f := prepDomain(domain, true)
	if f != nil {
		return JID{}, f.in(domain, 0)
	}
	local, f := prepLocal(EscapeLocal(u.s), false)
	if f != nil {
		return JID{}, &NoJIDError{u, f.reason}
	}
	j := joinJID(local, d, "")
	if back, err := j.EscapedUniform(); err != nil || back != u {
		return JID{}, &NoJIDError{u, "a localpart cannot hold its spelling"}
	}
	return j, nil
}

// EscapedUniform returns the uniform that [Uniform.EscapedJID] has put into the localpart of j. That the domain is the
// one set aside for this is for the caller to check: elsewhere the localpart is somebody's name. It fails if the
// localpart holds no uniform, another spelling than the canonical one, or a uniform that has a JID of its own.
func (j JID) EscapedUniform() (Uniform, error) {
	u, err := Parse(UnescapeLocal(j.Local()))
	if err != nil {
		return Uniform{}, err
	}
	if EscapeLocal(u.s) != j.Local() {
		return Uniform{}, &Error{Input: j.s, Offset: 0, Reason: "localpart holds a uniform in another spelling"}
	}
	if _, err := u.JID(""); err == nil {
		return Uniform{}, &Error{Input: j.s, Offset: 0, Reason: "localpart holds a uniform that has a JID of its own"}
	}
	return u, nil
}

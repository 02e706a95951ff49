package uniform

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// maxPart is the limit that RFC 7622 sets to each of the three parts of a JID, in bytes after mapping.
const maxPart = 1023

// maxInput is the limit to any address before mapping. The longest JID has 3*1023+2 bytes, the uniform of such a JID
// at most 3*1023 bytes of name and some 2700 of host in A-labels.
const maxInput = 8192

// usernameCaseMapped is the profile of RFC 8265 section 3.3 without its directionality rule. precis.UsernameCaseMapped
// applies the Bidi Rule to every string that is not ASCII and so refuses "*über"; the RFC asks for it only where a
// string has right-to-left characters, which mapLocal does.
var usernameCaseMapped = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// prepLocal returns the canonical form of a localpart: s itself if it is canonical already. With relay what PRECIS
// refuses is returned as it is, as far as [RelayJID] says.
func prepLocal(s string, relay bool) (string, *fault) {
	if s == "" {
		return "", &fault{0, "empty localpart"}
	}
	i := span(s, inLocal|upper)
	if i == len(s) {
		if len(s) > maxPart {
			return "", &fault{maxPart, "localpart of more than 1023 bytes"}
		}
		return strings.ToLower(s), nil
	}
	if s[i] < utf8.RuneSelf {
		return "", &fault{i, "character not allowed in a localpart"}
	}
	if f := invalidUTF8(s); f != nil {
		return "", f
	}
	if i := strings.IndexAny(s, forbiddenInLocal); i >= 0 {
		return "", &fault{i, "character not allowed in a localpart"}
	}
	mapped, f := mapLocal(s)
	if f == nil {
		return mapped, nil
	}
	// A stringprep behind us would make the forbidden of their compatibility forms.
	if relay && isCarriable(s) && !strings.ContainsFunc(s, unicode.IsSpace) &&
		!strings.ContainsAny(norm.NFKC.String(s), forbiddenInLocal+" ") {
		return s, nil
	}
	return "", f
}

// mapLocal applies UsernameCaseMapped (RFC 8265 section 3.3) and the rules of RFC 7622 section 3.3.
func mapLocal(s string) (string, *fault) {
	mapped, err := usernameCaseMapped.String(s)
	switch {
	case miscomposes(s) || miscomposes(mapped):
		return "", &fault{0, "localpart cannot be normalised"}
	case err != nil:
		return "", &fault{0, "localpart refused by PRECIS: " + precisReason(err)}
	case bidirule.DirectionString(mapped) != bidi.LeftToRight && !bidirule.ValidString(mapped):
		return "", &fault{0, "localpart refused by the Bidi Rule"}
	case strings.ContainsAny(mapped, forbiddenInLocal):
		// The width mapping makes such characters of their full-width forms.
		return "", &fault{0, "character not allowed in a localpart after mapping"}
	case len(mapped) > maxPart:
		return "", &fault{0, "localpart of more than 1023 bytes"}
	}
	return mapped, nil
}

// prepResource returns the canonical form of a resourcepart: s itself if it is canonical already.
func prepResource(s string, relay bool) (string, *fault) {
	if s == "" {
		return "", &fault{0, "empty resourcepart"}
	}
	i := span(s, inResource)
	if i == len(s) {
		if len(s) > maxPart {
			return "", &fault{maxPart, "resourcepart of more than 1023 bytes"}
		}
		return s, nil
	}
	if s[i] < utf8.RuneSelf {
		return "", &fault{i, "control character in a resourcepart"}
	}
	if f := invalidUTF8(s); f != nil {
		return "", f
	}
	mapped, f := mapResource(s)
	if f != nil && relay && isCarriable(s) {
		return s, nil
	}
	return mapped, f
}

// mapResource applies OpaqueString (RFC 8265 section 4.2).
func mapResource(s string) (string, *fault) {
	mapped, err := precis.OpaqueString.String(s)
	switch {
	case miscomposes(s) || miscomposes(mapped):
		return "", &fault{0, "resourcepart cannot be normalised"}
	case err != nil:
		return "", &fault{0, "resourcepart refused by PRECIS: " + precisReason(err)}
	case len(mapped) > maxPart:
		return "", &fault{0, "resourcepart of more than 1023 bytes"}
	}
	return mapped, nil
}

// miscomposes reports whether norm.NFC, which PRECIS and IDNA use, may make another word of s. It composes by the low
// 16 bits of a character, so that U+10041 U+0301 becomes U+00C1, as U+0041 U+0301 rightly does (x/text v0.40).
func miscomposes(s string) bool {
	high := false
	for _, r := range s {
		switch {
		case r > 0xFFFF:
			high = true
		case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
			// IDNA drops these before it composes.
		case norm.NFC.PropertiesString(string(r)).BoundaryBefore():
			high = false
		case high:
			return true
		}
	}
	return false
}

// isCarriable says whether a part that PRECIS refuses may pass as it is: at most 1023 bytes, no controls, nothing
// that XML 1.0 cannot carry.
func isCarriable(s string) bool {
	return len(s) <= maxPart && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF
	})
}

func invalidUTF8(s string) *fault {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return &fault{i, "invalid UTF-8"}
			}
		}
	}
	return nil
}

func precisReason(err error) string {
	return strings.TrimPrefix(err.Error(), "precis: ")
}

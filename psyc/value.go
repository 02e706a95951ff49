package psyc

import (
	"image/color"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/switchyard-im/switchyard/uniform"
)

// A Value is the bytes of a variable. Its methods read it as the type that the name of the variable declares (see
// [TypeOf]); they are strict, and what they refuse is an *[Error] below _error_invalid_value.
type Value []byte

// String returns the bytes as they are.
func (v Value) String() string { return string(v) }

const errValue = "_error_invalid_value"

// Int reads _amount, and counters: a decimal integer, "-" in front of a negative one, nothing else.
func (v Value) Int() (int64, error) { return v.integer("_amount") }

func (v Value) integer(typ string) (int64, error) {
	if len(v) > 0 && v[0] == '+' {
		return 0, &Error{Method: errValue + typ, Text: "not a number"}
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, &Error{Method: errValue + typ, Text: "not a number", Err: err}
	}
	return n, nil
}

// Degree reads _degree: a number from 0 to 9, its first digit. Digits behind it are finer grades and not looked at.
func (v Value) Degree() (int, error) {
	for _, c := range v {
		if c-'0' > 9 {
			return 0, &Error{Method: errValue + "_degree", Text: "not a degree"}
		}
	}
	if len(v) == 0 {
		return 0, &Error{Method: errValue + "_degree", Text: "not a degree"}
	}
	return int(v[0] - '0'), nil
}

// Flag reads _flag: "1" is true, "0" false.
func (v Value) Flag() (bool, error) {
	if len(v) == 1 && v[0]-'0' <= 1 {
		return v[0] == '1', nil
	}
	return false, &Error{Method: errValue + "_flag", Text: "neither 0 nor 1"}
}

// Epoch is where PSYC 1.0 counts dates from, in seconds since 1970: 24 August 2015.
const Epoch = 1440444041

// Date reads _date: seconds since [Epoch].
func (v Value) Date() (time.Time, error) {
	n, err := v.integer("_date")
	if err != nil {
		return time.Time{}, err
	}
	if n > maxSeconds || n < -maxSeconds {
		return time.Time{}, &Error{Method: errValue + "_date", Text: "date out of range"}
	}
	return time.Unix(Epoch+n, 0), nil
}

// AppendDate appends t as a _date, to the second.
func AppendDate(dst []byte, t time.Time) []byte {
	return strconv.AppendInt(dst, t.Unix()-Epoch, 10)
}

// Duration reads _time: a number of seconds. (psyced keeps points of time in some _time variables, such as
// _time_place: seconds since 1970, for which Int is the reading.)
func (v Value) Duration() (time.Duration, error) {
	n, err := v.integer("_time")
	if err != nil {
		return 0, err
	}
	if n > maxSeconds || n < -maxSeconds {
		return 0, &Error{Method: errValue + "_time", Text: "time out of range"}
	}
	return time.Duration(n) * time.Second, nil
}

const maxSeconds = int64(1<<63-1) / int64(time.Second)

// Color reads _color: "#" and two hexadecimal digits each of red, green and blue, or one each, which counts twice.
func (v Value) Color() (color.RGBA, error) {
	refused := &Error{Method: errValue + "_color", Text: "neither #rrggbb nor #rgb"}
	if len(v) != len("#rgb") && len(v) != len("#rrggbb") || v[0] != '#' || v[1] == '+' || v[1] == '-' {
		return color.RGBA{}, refused
	}
	n, err := strconv.ParseUint(string(v[1:]), 16, 32)
	if err != nil {
		return color.RGBA{}, refused
	}
	if len(v) == len("#rgb") {
		n = n>>8<<16 | n>>4&0xf<<8 | n&0xf
		n |= n << 4
	}
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 0xff}, nil
}

// AppendColor appends the _color of c as #rrggbb. Its transparency is lost.
func AppendColor(dst []byte, c color.Color) []byte {
	const hex = "0123456789abcdef"
	x := color.NRGBAModel.Convert(c).(color.NRGBA)
	dst = append(dst, '#')
	for _, part := range [...]uint8{x.R, x.G, x.B} {
		dst = append(dst, hex[part>>4], hex[part&0xf])
	}
	return dst
}

// Language reads _language: a language tag in the form of RFC 5646, such as "en" or "de-AT". Only the form is looked
// at, not whether there is such a language.
func (v Value) Language() (string, error) {
	for i, subtag := range strings.Split(string(v), "-") {
		letters := true
		for _, c := range []byte(subtag) {
			letters = letters && (c|0x20)-'a' < 26
			if c == '_' || !keywordByte[c] {
				return "", &Error{Method: errValue + "_language", Text: "not a language tag"}
			}
		}
		if len(subtag) < 1 || len(subtag) > 8 || i == 0 && !letters {
			return "", &Error{Method: errValue + "_language", Text: "not a language tag"}
		}
	}
	return string(v), nil
}

// Page reads _page: the absolute URL of something to be looked at, such as "https://north.example/". Who opens it
// decides which schemes he trusts.
func (v Value) Page() (*url.URL, error) {
	u, err := url.Parse(string(v))
	if err != nil {
		return nil, &Error{Method: errValue + "_page", Text: "not a URL", Err: err}
	}
	if u.Scheme == "" || u.Host == "" && u.Opaque == "" {
		return nil, &Error{Method: errValue + "_page", Text: "not an absolute URL"}
	}
	return u, nil
}

// Nick reads _nick: a name for people to read, in UTF-8, not empty, on one line, without characters that are not shown
// and without blanks around it.
func (v Value) Nick() (string, error) {
	s := string(v)
	hidden := func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, hidden) || strings.TrimSpace(s) != s {
		return "", &Error{Method: errValue + "_nick", Text: "not a nickname"}
	}
	return s, nil
}

// Uniform reads _uniform and _entity, and routing variables such as _source: an address, see [uniform.Parse].
func (v Value) Uniform() (uniform.Uniform, error) {
	u, err := uniform.Parse(string(v))
	if err != nil {
		return uniform.Uniform{}, &Error{Method: errValue + "_uniform", Text: "not a uniform", Err: err}
	}
	return u, nil
}

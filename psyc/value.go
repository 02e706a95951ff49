package psyc

import (
	"strconv"
	"time"
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

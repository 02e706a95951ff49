package transcode

import (
	"strconv"
	"time"

	"github.com/switchyard-im/switchyard/psyc"
	"github.com/switchyard-im/switchyard/xmpp"
)

// Software version (XEP-0092), last activity (XEP-0012) and time (XEP-0202).
const (
	methodVersion = "_status_version"
	methodLast    = "_status_description_time"
	methodTime    = "_status_time"

	varVersion     = "_version"
	varVersionName = "_version_description"
	varVersionOS   = "_version_system"
	varTimeIdle    = "_time_idle"
	varDate        = "_date"
	varZone        = "_address_zone_time" // as XEP-0082 has it: Z, or hours and minutes with a sign

	nsVersion = "jabber:iq:version"
	nsLast    = "jabber:iq:last"
	nsTime    = "urn:xmpp:time"
)

// versionParts are the elements of a version, in order, and their variables.
var versionParts = []part{
	{"name", varVersionName}, {"version", varVersion}, {"os", varVersionOS},
}

func sayVersion(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	if s.Type != "result" {
		return ""
	}
	w.sayParts(versionParts, nsVersion, e, f)
	return methodVersion
}

func usualVersion(dst []byte, w *words) []byte {
	dst = append(dst, "<query xmlns='"+nsVersion+"'>"...)
	return append(w.parts(dst, versionParts), "</query>"...)
}

func sayLast(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	seconds, _ := e.Attr("seconds")
	if n, err := strconv.ParseInt(seconds, 10, 64); err != nil || n < 0 || s.Type != "result" {
		return ""
	}
	w.say(varTimeIdle, seconds, f)
	return methodLast
}

func usualLast(dst []byte, w *words) []byte {
	n, err := w.get(varTimeIdle).Int()
	if err != nil || n < 0 {
		n = 0
	}
	return append(strconv.AppendInt(append(dst, "<query xmlns='"+nsLast+"' seconds='"...), n, 10), "'/>"...)
}

func sayTime(w *writer, s *xmpp.Stanza, e xmpp.Element, f form) string {
	utc, _ := e.Child(nsTime, "utc")
	zone, _ := e.Child(nsTime, "tzo")
	t, err := time.Parse(time.RFC3339, utc.Text())
	if err != nil || s.Type != "result" {
		return ""
	}
	w.setBytes(varDate, w.keepBytes(psyc.AppendDate(nil, t)))
	w.say(varZone, zone.Text(), f)
	return methodTime
}

func usualTime(dst []byte, w *words) []byte {
	dst = leaf(append(dst, "<time xmlns='"+nsTime+"'>"...), "tzo", w.get(varZone))
	if t, err := w.get(varDate).Date(); err == nil && 0 <= t.Unix() && t.Unix() <= lastSecond {
		dst = append(t.UTC().AppendFormat(append(dst, "<utc>"...), time.RFC3339), "</utc>"...)
	}
	return append(dst, "</time>"...)
}

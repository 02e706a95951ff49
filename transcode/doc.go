// Package transcode turns XMPP stanzas into PSYC packets and back without loss.
//
// A [Converter] writes what PSYC has a word for in that word, so that people and programs on PSYC understand it, and
// carries everything else beside it, so that the stanza which comes out at the far end is the one that went in: same
// kind, addresses, attributes and language, and the same children byte for byte, with their prefixes, CDATA sections,
// white space and order. Packets survive the way through XMPP likewise. Both hold in PSYC 1.0 and 0.9.
//
// The package is pure: it knows no clock, no goroutine, no connection.
//
// The rest of this page is the scheme, for those who have to speak it. Two peers speak it once they have agreed to, on
// this circuit; they are called profile peers here. Everybody else, psyced first, is a plain peer.
//
// # Addresses, id, language
//
// The routing header says who speaks to whom, in the mapping of package uniform, and which question is meant:
//
//	from           _source, and _resource_source for the resource
//	to             _target, and _resource_target
//	id             _tag; _tag_relay, in 0.9 _tag_reply, if the type is error or the stanza an iq of type result
//	xml:lang       _language
//
// Only _source, _target, _context, _source_relay, _tag and _tag_relay (_tag_reply) stand in the routing header, all other
// variables in the entity header. A stanza without from or to has no such variable; it never travels on a link.
//
// from is read from _context if there is one, otherwise from _source, and from nothing else. What a place tells about an
// occupant has the nick, _nick_local or else _nick, for the resource of from; what asks a place to be let in or out has it for
// the resource of to. The methods are listed with the rooms below; _message_public is one if there is a _context.
//
// The entity variable _jabber_attributes holds what these variables cannot: attributes of the stanza element in XML
// syntax, name='value', one blank between two, tabs and line ends as character references, so that it is one line. In it
// stand
//
//   - an id of more than 256 bytes, and an id, language or resource (with the whole address) that has a control character
//     or a blank at an end;
//   - from and to as they are spelt, where the canonical address is spelt otherwise. It must be another spelling of the
//     address in the routing header; what is no address at all may stand there if the routing header has none;
//   - a type that the method does not say;
//   - attributes that are there but empty, unknown and prefixed attributes, and namespace declarations: those of the stanza
//     element and those of the stream that the children need.
//
// No attribute may stand there beside a variable that says it. _jabber_prefix is the prefix of the stanza element, with its
// declaration among the attributes. _jabber_namespace is the content namespace that the stanza came in (jabber:server,
// jabber:client or jabber:component:accept); it is there if a first-level child declares one of the three explicitly: a
// child that declares this one follows the stanza into the namespace of another stream, any other stays what it is.
//
// # Native forms
//
// Messages with a text in their <body/>:
//
//	type chat       _message_private
//	groupchat       _message_public
//	headline        _message_announcement
//	none            _message; also for types unknown to RFC 6121 and for normal, with the type in _jabber_attributes
//	error           the method of the condition, see below
//
//	delay           _time_log, in a groupchat _time_place: seconds since 1970
//	body            the packet's body; a text that begins with "/me " and goes on with something other than
//	                a blank is _action without that beginning, and there is no body
//	subject         _topic
//	nick (XEP-0172) _nick
//
// Messages of type chat without a body:
//
//	chat state      _notice_typing_active, _composing, _gone, _inactive, _paused
//	received        _status_message_received, the id is _tag_received
//
// A <replace/> beside the body (XEP-0308) adds _correction to _message_private and _message_public, and _tag_corrected. The
// mark of a private message of XEP-0045 makes it _message_public_whisper.
//
// Presence, unless it has a child in the namespaces of group chat. Profile peers are told _degree_availability by the method:
//
//	available       _notice_presence_here            _degree_availability 7
//	  chat          _notice_presence_here_talkative  8
//	  dnd           _notice_presence_here_busy       4; 5 and 6 are read as dnd too
//	  away          _notice_presence_away            3
//	  xa            _notice_presence_absent_vacation 2
//	unavailable     _notice_presence_absent          1
//	subscribe       _request_friendship
//	subscribed      _notice_friendship_established
//	unsubscribe     _notice_friendship_removed
//	unsubscribed    _notice_friendship_removed_implied
//	probe           _request_status_person
//
//	status          _description_presence
//	nick            _nick
//
// Requests, an iq of type get with an id that can be a _tag, and one child:
//
//	urn:xmpp:ping                            _request_ping
//	jabber:iq:version                        _request_version
//	jabber:iq:last                           _request_description_time
//	urn:xmpp:time                            _request_time
//	vcard-temp                               _request_description_vCard
//	http://jabber.org/protocol/disco#info    _request_list_feature, the node is _target_fragment
//	http://jabber.org/protocol/disco#items   _request_list_item, likewise
//
// and their answers, of type result, if the variables say all that the child holds; an empty result is none:
//
//	version         _status_version: _version_description, _version, _version_system
//	last            _status_description_time: _time_idle
//	time            _status_time: _date, _address_zone_time
//	disco#info      _notice_list_feature and _person, _place, _newsfeed, _server: _identity, _name, _list_feature
//	disco#items     _notice_list_item: _list_item, _list_item_description, _list_item_node
//	vCard           _status_description_person: _name_public, _page_public, _description_public and so on
//
// Rooms (XEP-0045). The nick of the occupant is _nick, in place of the resource, and _duty the affiliation: owner,
// administrator, member, outcast. _role, _identification (the real address), _code (all status codes, if the method does not
// tell) and _resource_identification are there for profile peers where they spare the element, and always for others:
//
//	to a room       join: _request_enter, _password, _amount_history; leave: _request_leave, if the address is
//	                known as a place's; subject alone: _request_set_topic; mediated invitation: _request_invitation,
//	                _invitation, _reason; kick and ban, an iq: _request_kick, _request_ban, _person, _reason
//	from a room     _notice_place_enter; _notice_place_enter_again with <show/>; _echo_place_enter with status 110;
//	                _notice_place_leave, _banned (301), _nick (303, _nick_new), _kicked (307), _removed (321),
//	                _restricted (322), _shutdown (332), with _reason and _nick_actor;
//	                subject: _notice_place_topic, without a nick _status_place_topic; invitation: _notice_invitation_place
//	of a person     direct invitation (XEP-0249): _notice_invitation, _place, _password, _reason
//
// Errors, with their text in _text_XMPP and a fixed template as the body; [Failure] lists the methods. What is about a presence
// or an iq has _method_relay _notice_presence or _jabber_iq; it is native if it is nothing but a condition and a text.
//
// # Skeleton
//
// The entity variable _jabber_XML of a native form is the children of the stanza, where each text that travels natively is
// replaced by one byte that XML cannot contain: 0x01 for the body, 0x02 for the subject, 0x03 for the status, 0x04 for
// the nick. Each occurs at most once and is all the content of a child of that name, of the stanza's namespace or XEP-0172.
// The receiver puts the text back. A native text without its mark is for display: the XML holds the same text. 0x05 stands
// for the whole child that the method says, 0x06 for the whole delay; they are put back from the variables. The child is
// then spelt with single quotes, attributes in the order of XEP-0045 and the like (alphabetical), nothing between
// elements and no end tag where there is no content; a child spelt otherwise stands in the XML, and must say the same.
//
// Further bytes abbreviate:
//
//	0x07 " xmlns='http://jabber.org/protocol/"    0x0B " xmlns='urn:xmpp:"       0x0C " xmlns='"
//	0x0E "http://jabber.org/protocol/"            0x0F "urn:xmpp:"               0x10 <body>0x01</body>
//	0x11 "'/>"                                    0x12 "' id='"
//
// A writer need not abbreviate; this one does at single quotes. With its abbreviations written out a skeleton has at most
// 512 KiB.
//
// A text is taken out only if writing it again gives the same bytes: it has no child elements, CDATA sections, numeric
// references or carriage returns, and is escaped in one manner. & and < are always written as &amp; and &lt;. Which of > " '
// are written as &gt; &quot; &apos; is the value of _jabber_escape, a list of these characters in this order; without the
// variable it is > alone. One value holds for all texts of a packet. A text that is not taken out is displayed up to 4096
// bytes; a message with a longer one has no native form.
//
// _jabber_XML is left out where the receiver can make it by itself. It then stands for the children in this order, each
// there if its variable is there and not empty:
//
//	message    <subject>2</subject><body>1</body>5 6<nick xmlns='http://jabber.org/protocol/nick'>4</nick>
//	presence   <show>as above</show><status>3</status>5<nick ...>4</nick>
//	answer     5
//	request    <ping xmlns='...'/>, <query xmlns='...'/>, <vCard xmlns='...'/>; with node='...' behind the namespace
//	error      <error type='t'><c xmlns='n'/><text xmlns='n'>text</text></error>, t being the usual type of condition c
//	           and n urn:ietf:params:xml:ns:xmpp-stanzas
//
// # Verbatim forms
//
// What has no native form travels as it is: the children are the packet's body in 1.0, and _jabber_XML in 0.9 (where a body
// beside it is a sentence for people, as psyced sends it). The receiver takes both in both. The methods are _jabber_message,
// _jabber_presence and _jabber_iq, with the type behind them if RFC 6120 or 6121 defines it: _jabber_iq_get,
// _jabber_message_chat, _jabber_presence_error and so on. Any other type is in _jabber_attributes.
//
// # Lines of PSYC 0.9
//
// The syntax 0.9 has no escapes, and a carriage return, NUL, BS or 0xFF ends or edits a line, "." ends a packet, and a blank
// before a value is lost. A text with something of that kind is not taken out of the XML; what is displayed is degraded.
// XML with something of that kind, which can only be a carriage return or a leading blank, is sent in base64 with
// _encoding_jabber_XML base64 beside _jabber_XML.
//
// # Packets through XMPP
//
// A packet that no stanza is the word for becomes a message of type chat, or groupchat from a place, whose body is the
// packet's with the template filled in, or the method where there is no body. _message and what inherits from it is text,
// not template. Text that XML cannot contain becomes U+FFFD.
//
// If the stanza alone would not give the packet back, a last child is added:
//
//	<packet xmlns='urn:x-switchyard:packet:0'>base64</packet>
//
// The base64 is the content of the packet in PSYC 1.0, lengths as package psyc writes them: all entity variables, method and body, but no
// routing header. context='true' says that from was a context, tag='...' the tag that an error has beside that of what it is about. The far
// end restores the packet, with addresses and tag from the stanza, only if converting it gives this very stanza byte for byte; nobody adds
// what would not be restored. It can thus say nothing that the stanza does not show. It has no routing variables, no operators but ":", no
// state operations, no methods of the circuit, no variables that act wherever they stand; whatever else calls itself a packet is an
// ordinary extension.
//
// An iq has one child only and goes without, and so does a stanza whose children would become larger than 200 KiB. Two
// packets count as equal if they have the same addresses, tag, variables, method and body; the order of variables, what a
// skeleton abbreviates, and _INTERNAL variables do not count. Other routing variables, such as _source_relay, belong to the
// way that a packet took on PSYC and do not cross XMPP: a _tag_relay in a packet that is no answer would match somebody's
// request on the word of a user.
//
// # Refusals
//
// A packet is refused with _error_invalid_profile if its XML is not well-formed, if a variable of the profile occurs twice,
// if a mark is unknown, repeated, misplaced or without its text, if the attributes cannot be those of a stanza or contradict
// other variables, or if the native form and the XML say different things. Addresses without a JID, such as those with a
// port, are _error_invalid_uniform; packets that change or query state are _failure_unsupported_state: state is to be
// applied before. Packets of the circuit itself are no stanzas.
//
// # Fan-out
//
// XMPP sends a stanza per contact. Between two profile peers that agreed to it, on a session in PSYC 1.0, the copies of
// one stanza travel as one packet, a cast, and the receiver makes the copies. [FanOut] is the sender, [FanIn] the
// receiver. What follows holds for one direction of one session; a new session begins with nothing known on either side.
//
// Who gets a cast is an audience: a list of addresses, each there once, which belongs to the state of the context, the
// bare address of the sender. A context has any number of audiences. Variables, all in the entity header:
//
//	_audience                 number and version, with a blank between: which audience, in which version
//	_list_audience            its members, with the operator = (assign), + (add at the end) or - (take out)
//	_list_audience_only       index ranges: this cast is for these members alone
//	_list_audience_without    index ranges: this cast is not for these members
//	_list_audience_repeat     see below
//	_amount_casts             number of a cast; they ascend within the session, over all contexts
//
// An element of _list_audience is a uniform, and behind a blank the resource if there is one. An element that is a range
// is one position or two with "-" between, both inclusive, counted from 0; ranges ascend and do not overlap.
//
//	:_context	psyc://north.example/~ann
//
//	:_audience	1 2
//	:_amount_casts	17
//	+_list_audience	|26 psyc://south.example/~emil
//	:_list_audience_without	| 3| 7-9
//	:_resource_source	desk
//	:_degree_availability	3
//	_notice_presence_away
//	|
//
// A cast has a _context and neither _source nor _target. Without the variables above, and with _source for _context, it
// is the packet of a stanza without to. The copies are that stanza, one to each member, in the order of the audience. It
// may be a presence without type or of type unavailable, or a message of type headline or groupchat; nothing else is
// cast, nor what has a to that is not canonical or a resource that cannot be a variable.
//
// The changes in a packet are made before it is delivered: = alone, or -, or +, or first - and then +. _audience names
// the version after them. = sets any version; + and - are for the version before that one, and if the audience has the
// version named already, they have been made. A packet without method changes an audience and is no cast; - without a
// value ends the audience. A cast may change and narrow at once.
//
// The receiver speaks of audiences in packets from its root to the context, with _audience:
//
//	?  (resync, no method)              the audience is not here, or in another version
//	_failure_..., _error_...            the cast _amount_casts is refused, or if that is 0 a change without a cast
//	_notice_audience_removed            the audience was dropped, for others or for the limits
//	_status_audience                    all casts up to _amount_casts are settled, and need not be kept for repeating
//
// Doubt: a cast in a version that is not here, one that adds who is there or takes out who is not. The receiver keeps
// that cast and all that comes from the same bare address since, and asks. The sender answers, from the context to the
// root that asked, with = and the members as they were for the cast asked about, which is a cast that it has not been
// told is settled; or with - and no value if there is none. Then what was kept is delivered in order. Without an answer
// in 10 s, or with more than 64 packets or 256 KiB kept, the cast is refused with _failure_unknown_audience.
//
// Refused: the sender forgets the audience, and repeats the cast: a packet for each recipient, as if there were no casts, with
// _list_audience_repeat. That is a list of two: the number of the cast, and how many copies there are from this one on. At the end there is
// a packet that has the _context and _list_audience_repeat alone, with 0 for that; a copy that cannot be sent is left out. The receiver
// keeps what else comes from that bare address until then. It refuses with _failure_exhausted_audience what is more than it wants to be
// charged for, and the sender then sends no casts for a while; with _error_rejected_relay_audience members of domains that are not hosted
// or for which the pair is not proved, both when they are told and when they are used; with _error_invalid_audience or what
// [Converter.Stanza] says, packets that make no sense. Of a refused cast no copy is delivered.
//
// Whoever is not answered, or not sent the copies, in 10 s, or has to keep twice the above, ends the session:
// [ErrOutOfStep]. What was unsettled is then sent again in a new one.
//
// Where packets are acknowledged by their number, as in the sessions of package psyc, a cast is acknowledged for all of its
// copies at once, and nothing counts as received from the first packet on that is kept. A receiver then keeps everything,
// not only what comes from the same bare address, and gives out the copies of a refused cast when their end is there: what
// it gave out ahead of its turn would come again if the connection broke. It may keep more for that. [FanIn.InOrder] does so.
//
// # Plain peers
//
// A plain peer gets native forms without _resource_source, _resource_target and variables of the _jabber family, and such variables are not
// read from it, except for _jabber_XML in the methods below _jabber. Messages and presence have no _tag, everybody has a _nick, presence
// its _degree_availability; requests, answers and rooms are native whatever else is in them. Lines stay short: XML is folded inside its
// tags, and refused if that does not do. That is not lossless, and the ids of requests have to be replaced by the link, which knows who
// asked what.
package transcode

// Package uniform models the addresses of PSYC and XMPP and the identity behind them.
//
// A [Uniform] is an address with a scheme, as PSYC has them: psyc://host/~user, xmpp:user@host/resource,
// mailto:user@host. A [JID] is an address of XMPP (RFC 7622): user@host/resource. A [Key] is whom they name: the same
// for all spellings of one person, place, service or server.
//
//	u, err := uniform.Parse("psyc://Capulet.example:4404/~Juliet")  // psyc://capulet.example/~juliet
//	j, err := u.JID("balcony")                                      // juliet@capulet.example/balcony
//	j.Uniform() == u                                                // true
//	j.Key() == u.Key()                                              // true
//
// All three are small comparable values, usable as map keys; the zero value means "none". What the functions of this
// package return is in canonical form, so == is equality of addresses. Parsing an address that is canonical already,
// and in ASCII, allocates nothing and keeps the string; the accessors never allocate, [Uniform.Root] of rare spellings
// excepted.
//
// # Grammar
//
//	psyc      = "psyc://" [ user "@" ] host [ ":" [ port ] [ transport ] ] [ "/" [ object ] [ "#" channel ] ]
//	host      = domain / IPv4 / "[" IPv6 "]"
//	port      = [ "-" ] 1*DIGIT              ; 1 to 65535
//	transport = "c" / "d" / "s"              ; TCP, UDP, TLS
//	object    = ( "~" / "@" / "$" ) name / path
//	user      = 1*( ALPHA / DIGIT / one of _-=+.!()*,;$~ )
//	name, path, channel = 1*( ALPHA / DIGIT / one of $%&'()*+,-./:;_!?=@~ )
//
//	xmpp      = "xmpp:" JID [ "?" query ]    ; the JID as it is, without percent-encoding
//
//	any other = scheme ":" 1*char            ; opaque: no spaces, no control characters
//
// In psyc the scheme, host, user, object and channel are folded to lower case, the host is spelled in A-labels, and the
// default port is dropped: 4404, or 9404 for transport "s". Where there is a transport the port is always written.
// A negative port is the far end of an incoming connection. psyc://host, the protocol root that ends a circuit, is not
// psyc://host/, the entity that speaks for the server. There are no passwords in uniforms.
//
// A '?' in what would be the domain of an xmpp uniform begins a query; in a localpart or resourcepart it is a
// character like others.
//
// # The mapping
//
//	XMPP                  PSYC
//	node@host             psyc://host/~node     person
//	*node@host            psyc://host/@node     place
//	$node@host            psyc://host/$node     service
//	host                  psyc://host/          server
//
// The resource is no part of a psyc uniform: it is [JID.Resource] on the way there, and the argument of [Uniform.JID]
// on the way back.
//
// A psyc name has fewer characters than a localpart. Encoded, as '%' and two lower-case hexadecimal digits for each
// byte of UTF-8, are all but
//
//	A-Z a-z 0-9 _ - = + . ! ( ) * , ; $ ~
//
// and of these '~', '$' and '*' as first character of a name, where they could be taken for a sigil; so are '*' and
// '$' that are a whole localpart. A person called "*" is psyc://host/~%2a, a place called "$x" psyc://host/@%24x.
// Decoding folds the case of the hexadecimal digits, and a name that is the encoding of a localpart is folded as
// the localpart is: psyc://host/~J%C3%9Crgen is psyc://host/~j%c3%bcrgen.
//
// Every JID has a uniform, and no two bare JIDs have the same. The reverse is not so. A uniform has a JID only if that
// JID maps back to this very uniform; otherwise whoever speaks for the one would speak for the other, on a host with
// several servers for instance. None of these has one:
//
//	psyc://host:4405/~node     another port, or a transport: another server
//	psyc://node@host/          a user before the host
//	psyc://host                the protocol root
//	psyc://host/~node#channel  a channel
//	psyc://host/$node/args     a service with arguments: '/' is not encoded
//	psyc://host/node           a path
//	psyc://host/~%6eode        another encoding than the one above
//	psyc://host/~*node         the same: *node@host is psyc://host/@node
//	xmpp:node@host?query       a query
//	mailto:node@host           another scheme
//
// [Uniform.JID] answers with a [*NoJIDError]. A gateway that wants them reached from XMPP sets a domain of its own
// aside for them: [Uniform.EscapedJID] puts the whole uniform into a localpart by XEP-0106, [JID.EscapedUniform] takes
// it out.
//
// # Roles
//
// [Uniform.Role] tells a UNI, who somebody is, from a UNR, who and by which of their clients, and from a UNL, where a
// process runs at the moment:
//
//	UNI  psyc://host/~user  psyc://host/@place  psyc://host/  xmpp:user@host
//	UNR  xmpp:user@host/resource
//	UNL  psyc://host:-51234/  psyc://192.0.2.7/  psyc://host:4405d/
//
// Only a UNI is fit to be remembered.
//
// # Keys
//
// user@host, xmpp:user@host, both of them with any resource, and psyc://host/~user have one Key, and so have the
// spellings of places, services and servers. A Key never joins what the mapping keeps apart: a uniform without a JID
// shares its Key with no other uniform and with no JID. Whatever stores or compares people uses Keys, so that nobody
// becomes a stranger when a peer moves from XMPP to PSYC; whatever passes an address on uses the address.
//
// # Strict and relayed JIDs
//
// [ParseJID] and [NewJID] hold to RFC 7622, with the PRECIS profiles and Unicode tables of golang.org/x/text. They are
// for those who create addresses. Other servers use other tables, or stringprep; whoever passes their stanzas on reads
// addresses by [RelayJID], which carries a localpart or resource that PRECIS refuses as it is. [Parse] and [ParseKey]
// do the same. The Key of such a localpart is its bytes.
//
// Domains are kept in U-labels, as RFC 7622 asks; [ASCIIDomain] gives the form for DNS and TLS.
package uniform

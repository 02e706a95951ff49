// # Proofs of hosts
//
// TLS shows one certificate for each end when a connection begins. With the module [ModuleHosts], which both greetings announce
// in _understand_modules, either end of a circuit in the 1.0 syntax can prove further hosts on the open circuit; hosts come and go
// while it carries others. It takes a connection with TLS 1.3, or TLS 1.2 with the extended master secret (RFC 7627). The module is not
// announced on others. Peers without the module see nothing of it.
//
// The verifier asks, in a packet of the circuit (without source, target and context):
//
//	_request_proof_host
//	_tag             of the request
//	_uniform_source  psyc://HOST/, the host that the prover claims
//	_uniform_target  psyc://PEER/, the host of the verifier that it wants to send to, or that wants to send to it
//	_challenge       16 to 64 random bytes, 32 of ours, never used before
//
// It does so when a _request_authorization names a source without another proof, before it answers that; for a host that it wants to send to;
// and before a proof ends. The prover answers with that tag in _tag_relay:
//
//	_status_proof_host
//	_uniform_source     as asked
//	_uniform_target     as asked
//	_list_certificates  certificates of HOST in DER, the leaf first: 8 at most, 12 KiB together
//	_signature          by the key of the leaf, 1 KiB at most
//
// or with an error, and then speaks for HOST no better than before. HOST and PEER are in lower case and in A-labels where they enter the
// signature. What is signed is, as in TLS 1.3 (RFC 8446 section 4.4.3),
//
//	64 bytes 0x20
//	"Switchyard PSYC host proof, client" or "Switchyard PSYC host proof, server"
//	one byte 0x00
//	SHA-256 of TLS-Exporter("EXPORTER-switchyard-host-proof", context, 32)
//
// with the exporter of RFC 8446 section 7.5 or RFC 5705, and a context of five parts, each behind its length in two bytes, most
// significant first:
//
//	"client" or "server"   the role of the prover in TLS, which is that on the circuit, too
//	the challenge
//	HOST
//	PEER
//	SHA-256 of the certificates, each behind its length in three bytes
//
// There is one signature scheme of TLS 1.3 for each kind of key: ecdsa_secp256r1_sha256, ecdsa_secp384r1_sha384,
// ecdsa_secp521r1_sha512 by the curve, ed25519, and rsa_pss_rsae_sha256 for RSA keys of 2048 bits or more.
//
// The verifier takes one answer for each challenge, within 30 seconds. It checks the signature; that the key is for digital signatures; and
// the certificates as those that are shown in TLS: authority, time, and that the leaf names HOST. A host that lives with the verifier is
// nobody else's to prove. The proof counts for the host and any pair of which it is the source, on this circuit alone, until the
// certificate ends or for 24 hours. A proof from another connection fails because the exporter's value is another one, one that is mirrored
// because of the role, one that is repeated because of the challenge; one for another host, another verifier or another certificate because
// of the context.
//
// A prover that does not speak for a host any more says so, behind all that it has sent for it:
//
//	_notice_withdrawal_host
//	_uniform_source  psyc://HOST/
//
// It says that only after its last proof for the host. The other end drops the proof and what was agreed on pairs of that host, in either
// direction. There is no answer.
//
// A proof that is not good costs the host alone; the circuit goes on. The answer to the _request_authorization is then a member of
// _error_invalid_uniform_source that says why as far as that is nobody's secret, and [Circuit.Challenge] returns the like-named member of
// _error_invalid_proof:
//
//	_error_invalid_proof_syntax                 the answer cannot be read
//	_error_invalid_proof_chain                  certificates that cannot be read, or too many
//	_error_invalid_proof_signature              signature or key do not fit
//	_error_invalid_proof_certificate            a certificate that is not good for this
//	_error_invalid_proof_certificate_time       expired, or not valid yet
//	_error_invalid_proof_certificate_name       for other hosts
//	_error_invalid_proof_certificate_authority  of no authority that is known
//	_error_invalid_proof_withdrawn              withdrawn before it was verified
//	_error_rejected_proof                       the host lives with the verifier
//
// A prover that has accepted the connection does not sign for a peer that has proved no host itself, and answers _error_rejected_proof. A
// prover answers _error_invalid_uniform_source for a host that does not live with it, _error_invalid_uniform_target for a verifier's host
// that does, _error_invalid_proof_challenge, and _failure_unavailable_proof_host without a certificate.
//
// Each answer takes a signature, so that a prover bounds their number on a circuit: [Config.Attestations], 1024 in a minute, and as many at once
// after a quiet one. A challenge in excess of that waits. It is refused with _failure_exhausted_proof if it would wait for more than 10 seconds, or if
// 64 others wait or are being answered. The verifier can ask again.
//
// Test vector: an Ed25519 key with the seed 00 01 ... 1f; host a.example, peer b.example, role client; a challenge of 32 bytes 20 21 ... 3f; two
// certificates, of which the bytes are "leaf" and "issuer"; and an exporter that returned 40 41 ... 5f. Context and signature:
//
//	0006636c69656e740020202122232425262728292a2b2c2d2e2f303132333435
//	363738393a3b3c3d3e3f0009612e6578616d706c650009622e6578616d706c65
//	00201c110ba67e4d58ff67557e572989c9f8b6ac27641940431b8966b45ce0af
//	91ad
//
//	a2e8768155932d983f7dada60aeb3508b87def03a160e406a00ed4e43b6c48d4
//	16fb5abb4cd62796be33cb2d1945df2b6f1c4eb0e4e69465bb9a021677f7060e
package psyc

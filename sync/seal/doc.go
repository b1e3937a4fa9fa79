// Package seal keeps refresh tokens unreadable in the database, its backups and its replicas: whoever reads a sealed one needs a key that is
// only in the worker's environment.
//
// # What it promises
//
// A sealed token is AES-256-GCM over the token (NIST SP 800-38D), under a nonce of its own that is drawn at random, with the user's id as
// associated data: it opens for the user whose it is and for nobody else, so that a row copied onto another user's gives nothing away. One
// that was changed in any bit does not open.
//
// A sealed token names its key. Keys are told apart by a fingerprint, not by names that people give, so that the same key can neither be
// mistaken for another nor go under two names. The first of the given keys seals, and every one opens: a key is replaced by putting the new one in
// front, sealing everything anew, and taking the old one away.
//
// What a later version has sealed in another way waits for that version, like a token whose key is not there.
//
// What is not sealed opens as it is. So a database can be sealed, or unsealed, while workers use it.
//
// # What it does not
//
// It does not hide that somebody has a token, nor how long it is. It does not protect from who reads the worker's memory or environment, nor
// from who may write to the database: an old sealed token put back in its row opens.
//
// Sealing many: random nonces of 96 bits allow 2^32 messages under one key (SP 800-38D, section 8.3), which is a token an hour for half a
// million years.
//
// # Format
//
//	sealed:v1:KEY:DATA
//
// KEY is the first 8 hexadecimal digits of the SHA-256 of a label and the key. DATA is base64url without padding of nonce (12 bytes),
// ciphertext, and tag (16 bytes). The associated data is a label and the 16 bytes of the user's UUID.
package seal

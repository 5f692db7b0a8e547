// Package message holds what Gatepost reads of a mail: its header fields byte for byte, who its author is, and the hashes of
// its body as it streams by. Nothing is spooled: memory does not grow with the body.
//
// RFCs cited: RFC 5321 (SMTP), RFC 5322 (message format), RFC 6376 (DKIM), RFC 9989 (DMARC).
package message

// Package message holds what Gatepost reads of a mail: its header fields byte for byte, who its author is, and the hashes of
// its body as it streams by. Nothing is spooled: memory does not grow with the body.
package message

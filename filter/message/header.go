package message

// Field is one header field, byte for byte as the sender wrote it.
type Field struct {
	Name  string // as written, without the colon: "DKIM-Signature"
	Value string // all behind the colon, with its leading blank, folds as CRLF, without the final CRLF
}

// Header is the fields of one message in their order.
type Header struct {
	Fields []Field
}

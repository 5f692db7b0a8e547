package mailbox

import (
	"slices"
	"strings"
)

// Use is what a folder is for.
type Use uint8

// The uses, as RFC 6154 has them.
const (
	Incoming Use = iota // the inbox, and whatever people sort wanted mail into
	Junk                // unwanted mail
	Sent                // what the mailbox's owner wrote
	Drafts              // what was not sent
	Trash               // deleted mail, wanted or not
)

// names are the folders' names as mail programs make them, in lower case.
var names = map[Use][]string{
	Junk:   {"junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk mail", "bulk", "spamverdacht", "unerwünscht", "courrier indésirable", "pourriel", "correo no deseado", "posta indesiderata", "ongewenste e-mail"},
	Sent:   {"sent", "sent items", "sent messages", "sent mail", "sent-mail", "gesendet", "gesendete objekte", "gesendete elemente", "envoyés", "éléments envoyés", "enviados", "posta inviata", "verzonden items"},
	Drafts: {"drafts", "draft", "entwürfe", "brouillons", "borradores", "bozze", "concepten", "templates", "outbox"},
	Trash:  {"trash", "deleted", "deleted items", "deleted messages", "papierkorb", "gelöschte elemente", "gelöschte objekte", "corbeille", "papelera", "cestino", "prullenbak"},
}

// UseOf says what a folder is for: by its own name, or by that of the folder it lies in. Anything else is incoming mail.
func UseOf(folder string) Use {
	for part := range strings.SplitSeq(strings.ToLower(strings.TrimSuffix(folder, ".mbox")), ".") {
		for use, known := range names {
			if slices.Contains(known, part) {
				return use
			}
		}
	}
	return Incoming
}

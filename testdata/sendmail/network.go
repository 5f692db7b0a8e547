package sendmail

import "gatepost.example/testdata/debian"

// Addresses of the test's own network, all on its loopback interface. Sendmail has no XCLIENT and asks DNS at port 53 only.
const (
	Server     = "203.0.113.25" // Sendmail
	Server6    = "2001:db8::25"
	Good       = "192.0.2.1" // mail.example.org
	Good6      = "2001:db8::1"
	Bad        = "198.51.100.1" // has no name
	Forged     = "198.51.100.2" // its name has another address
	nameserver = "127.0.0.1:53"
)

// RaiseNetwork gives this process's own network its addresses.
func RaiseNetwork() error {
	return debian.RaiseNetwork(Server, Good, Bad, Forged, Server6, Good6)
}

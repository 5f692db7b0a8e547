package policy

import (
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// List is a set of networks, domains, addresses and users, as access(5) of Postfix understands them. It does not change once it is made.
// Text is compared without regard to case.
type List struct {
	networks  Networks
	addresses map[string]bool // "user@example.org"
	domains   map[string]bool // "example.org": itself only
	below     map[string]bool // "example.org" for the entry ".example.org": its subdomains only
	users     map[string]bool
}

// Networks is a table of networks, IPv4 and IPv6 apart, so that 0.0.0.0/0 is no ::/0. It is handed in by whoever reads the policy, because
// a table that answers as fast for 100,000 networks as for ten comes from a library, and this package rests on none but CEL.
type Networks interface {
	// Insert adds a network, masked; an IPv4 one in its 4-byte form.
	Insert(network netip.Prefix)
	// Contains reports whether an address is in one of the networks.
	Contains(addr netip.Addr) bool
	// LookupPrefixLPM gives the narrowest network of the table that holds all of a network.
	LookupPrefixLPM(network netip.Prefix) (narrowest netip.Prefix, ok bool)
	// All goes through the networks, in no order.
	All() iter.Seq[netip.Prefix]
}

// KindOf says what kind an entry is by its form: a network parses as an address or prefix, an address has @,
// a domain has a dot, everything else is a user; "user:" forces the last.
func KindOf(entry string) Kind {
	switch {
	case forcesUser(entry):
		return KindUser
	case isNetwork(entry):
		return KindIP
	case strings.Contains(entry, "@"):
		return KindAddress
	case strings.Contains(entry, "."):
		return KindDomain
	}
	return KindUser
}

// userPrefix forces an entry to be a user, whatever its form.
const userPrefix = "user:"

func forcesUser(entry string) bool {
	return len(entry) >= len(userPrefix) && strings.EqualFold(entry[:len(userPrefix)], userPrefix)
}

func isNetwork(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(text)
	return err == nil
}

// NewList makes a list of entries, the networks in an empty table that becomes the list's own. The error of an entry that cannot be one
// stands at its index.
func NewList(entries []string, networks Networks) (*List, map[int]error) {
	l := &List{
		networks:  networks,
		addresses: map[string]bool{}, domains: map[string]bool{}, below: map[string]bool{}, users: map[string]bool{},
	}
	wrong := map[int]error{}
	for i, entry := range entries {
		if err := l.add(entry); err != nil {
			wrong[i] = err
		}
	}
	return l, wrong
}

func (l *List) add(entry string) error {
	lower := strings.ToLower(entry)
	switch KindOf(entry) {
	case KindIP:
		return l.addNetwork(entry)
	case KindAddress:
		if strings.HasPrefix(entry, "@") || strings.HasSuffix(entry, "@") {
			return fmt.Errorf("%q is no address; write a domain without @", entry)
		}
		l.addresses[lower] = true
	case KindDomain:
		if parent, ok := strings.CutPrefix(lower, "."); ok {
			l.below[parent] = true
			return badDomain(entry, parent)
		}
		l.domains[lower] = true
		return badDomain(entry, lower)
	default:
		user := strings.TrimPrefix(lower, userPrefix)
		if user == "" {
			return fmt.Errorf("an empty entry matches nobody; remove it")
		}
		l.users[user] = true
	}
	return nil
}

func badDomain(entry, domain string) error {
	if strings.ContainsFunc(domain, func(r rune) bool { return r > '~' }) {
		return fmt.Errorf("%q is no domain as mail carries it; write its form in ASCII (xn--...)", entry)
	}
	if domain == "" || strings.HasPrefix(domain, ".") || strings.Contains(domain, "..") || strings.HasSuffix(domain, ".") || strings.ContainsAny(domain, "/ *") {
		return fmt.Errorf("%q is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org", entry)
	}
	return nil
}

func (l *List) addNetwork(entry string) error {
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		addr := netip.MustParseAddr(entry)
		if addr.Zone() != "" {
			return fmt.Errorf("%q has a zone; write the address without %%%s", entry, addr.Zone())
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Masked() != prefix {
		return fmt.Errorf("%q has bits beyond its length; write %s", entry, prefix.Masked())
	}
	l.networks.Insert(unmapped(prefix))
	return nil
}

// v4Bits is the length of ::ffff:0:0/96, below which IPv4 addresses stand in the 16-byte form.
const v4Bits = 96

// unmapped gives a network of mapped IPv4 addresses as the IPv4 network that it is.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= v4Bits {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-v4Bits)
	}
	return p
}

// Has reports whether a fact's text is in the list; the fact's kind says which entries are asked. An address is in the list by itself
// or by its domain.
func (l *List) Has(kind Kind, text string) bool {
	switch kind {
	case KindIP:
		return l.hasAddr(text)
	case KindAddress:
		address := strings.ToLower(text)
		at := strings.LastIndexByte(address, '@')
		return l.addresses[address] || at >= 0 && l.hasDomain(address[at+1:])
	case KindDomain:
		return l.hasDomain(strings.ToLower(text))
	case KindUser:
		return l.users[strings.ToLower(text)]
	}
	return false
}

func (l *List) hasAddr(text string) bool {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	return l.networks.Contains(addr.Unmap())
}

// kinds gives the kinds of the entries that the list has.
func (l *List) kinds() []Kind {
	var out []Kind
	for range l.networks.All() {
		out = append(out, KindIP)
		break
	}
	if len(l.addresses) > 0 {
		out = append(out, KindAddress)
	}
	if len(l.domains)+len(l.below) > 0 {
		out = append(out, KindDomain)
	}
	if len(l.users) > 0 {
		out = append(out, KindUser)
	}
	return out
}

// entry gives the entry by which a lower-case text is in the list, of several the narrowest; "" where it is not in it.
func (l *List) entry(kind Kind, text string) string {
	switch kind {
	case KindIP:
		return l.networkOf(text)
	case KindAddress:
		if l.addresses[text] {
			return text
		}
		return l.domainOf(text[strings.LastIndexByte(text, '@')+1:])
	case KindDomain:
		return l.domainOf(text)
	}
	if l.users[text] {
		return text
	}
	return ""
}

// mayHold reports whether a text of a kind can be in the list: an address also by its domain.
func (l *List) mayHold(kind Kind) bool {
	held := l.kinds()
	return slices.Contains(held, kind) || kind == KindAddress && slices.Contains(held, KindDomain)
}

func (l *List) networkOf(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	addr = addr.Unmap()
	network, found := l.networks.LookupPrefixLPM(netip.PrefixFrom(addr, addr.BitLen()))
	switch {
	case !found:
		return ""
	case network.IsSingleIP():
		return network.Addr().String()
	}
	return network.String()
}

func (l *List) domainOf(name string) string {
	if l.domains[name] {
		return name
	}
	for {
		_, parent, found := strings.Cut(name, ".")
		if !found {
			return ""
		}
		if l.below[parent] {
			return "." + parent
		}
		name = parent
	}
}

// maxDomain is the most bytes of a domain (RFC 1035 2.3.4): a longer one is in no list.
const maxDomain = 255

func (l *List) hasDomain(name string) bool {
	if len(name) > maxDomain {
		return false
	}
	if l.domains[name] {
		return true
	}
	for {
		_, parent, found := strings.Cut(name, ".")
		if !found {
			return false
		}
		if l.below[parent] {
			return true
		}
		name = parent
	}
}

// listType is the type of list.NAME in conditions: opaque, so that nothing but "in" works on it.
var listType = types.NewOpaqueType("gatepost.list")

// viewType is the type of its values, with the trait that "in" asks for.
var viewType = types.NewObjectType("gatepost.list", traits.ContainerType)

// listView is a list seen by a fact of one kind: what stands behind "in" at run time.
type listView struct {
	list *List
	kind Kind
}

// viewOf names the view of a list.
func viewOf(list string, kind Kind) string { return "list." + list + "#" + kind.String() }

var _ traits.Container = listView{}

// Contains implements "in".
func (v listView) Contains(value ref.Val) ref.Val {
	text, ok := value.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(value)
	}
	return types.Bool(v.list.Has(v.kind, string(text)))
}

// ConvertToNative implements ref.Val; a list leaves the expression language by no way.
func (v listView) ConvertToNative(reflect.Type) (any, error) {
	return nil, fmt.Errorf("a list has no native form")
}

// ConvertToType implements ref.Val.
func (v listView) ConvertToType(ref.Type) ref.Val { return types.NewErr("a list has no other type") }

// Equal implements ref.Val.
func (v listView) Equal(ref.Val) ref.Val { return types.False }

// Type implements ref.Val.
func (v listView) Type() ref.Type { return viewType }

// Value implements ref.Val.
func (v listView) Value() any { return v.list }

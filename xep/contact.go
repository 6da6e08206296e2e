package xep

import (
	"maps"
	"slices"

	"github.com/bearhug/bearhug/router"
)

const contactForm = "http://jabber.org/network/serverinfo"

// Contact tells in disco whom to ask about the server (XEP-0157), as far as the
// configuration says.
func Contact(h *router.Host) router.Module {
	form := router.Form{Type: contactForm}
	for _, kind := range slices.Sorted(maps.Keys(h.Contacts)) {
		if list := h.Contacts[kind]; len(list) > 0 {
			form.Fields = append(form.Fields, router.Field{Name: kind, Type: "list-multi", Values: list})
		}
	}
	m := router.Module{Name: "contact", Doc: "XEP-0157 1.1.1: tells whom to ask about the server"}
	if len(form.Fields) > 0 {
		m.Forms = []router.Form{form}
	}
	return m
}

// Package xep holds the small extensions: one file each, each with a
// constructor of a router.Module named after it.
//
// No file names an identifier of another file of the package, so that each
// could be moved out tomorrow. What state there is, a module keeps in a struct
// of its own that its constructor makes, with its lock. Two kinds of lock are
// held while the store is asked or something is sent, and come before all
// others: those that make one account's changes take turns (blocking, prefs),
// and those that make its archive pages do (mam). The rest are leaves. An
// extension with much state of its own gets a package of its own instead.
package xep

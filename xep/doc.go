// Package xep holds the small extensions: one file each, each with a
// constructor of a router.Module named after it.
//
// No file names an identifier of another file of the package, so that each
// could be moved out tomorrow. What state there is, a module keeps in a struct
// of its own that its constructor makes; locks are in that struct, are leaves,
// and are not held while something is sent. An extension with much state of its
// own gets a package of its own instead.
package xep

// Package tests keeps what tests the house as a whole: golden scripts (*.scs, format in package script) and the
// runner that plays them, real clients, faults.
//
// A new script is a file here; nothing else needs to be told. It shows one thing, says in its first line which
// section that is, and is named after what it shows. A bug's script comes before its repair.
package tests

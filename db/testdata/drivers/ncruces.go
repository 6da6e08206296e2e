//go:build ncruces

package main

import (
	"github.com/ncruces/go-sqlite3/driver"
	_ "github.com/ncruces/go-sqlite3/embed" // the library itself
)

var other = &driver.SQLite{}

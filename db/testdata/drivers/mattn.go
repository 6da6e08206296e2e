//go:build !ncruces

package main

import "github.com/mattn/go-sqlite3"

var other = &sqlite3.SQLiteDriver{}

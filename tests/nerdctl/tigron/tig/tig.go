// Package tig stands in for the package of nerdctl's own test framework that its command imports.
package tig

// T is what the command's package for tests needs of a test; the command never calls it.
type T interface {
	Log(args ...any)
	FailNow()
}

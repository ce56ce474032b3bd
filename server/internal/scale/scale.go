// Package scale measures every operation of both stores in a small database and in a large one. What an operation costs may grow with
// what it returns, but not with what is stored.
//
//	make scale                # 10,000 records next to 1,000,000, a quarter of an hour
//	make scale SCALE=100000   # another size
//
// `go test` alone compares 1,000 records with 20,000. The race detector would measure itself, so there are no tests with it.
package scale

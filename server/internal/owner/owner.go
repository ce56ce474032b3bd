// Package owner gives files that root creates to the user who is to work with them.
package owner

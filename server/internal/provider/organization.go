package provider

// Organization is one of a store's.
type Organization struct {
	Number int64
	Name   string
}

// A program of somebody else's that imports the client: what it needs is what any consumer needs.
module consumer.example/billing

go 1.26.8

require (
	github.com/carecycle/provider-api v0.0.0
	github.com/google/uuid v1.6.0
)

require (
	github.com/apapsch/go-jsonmerge/v2 v2.0.0 // indirect
	github.com/oapi-codegen/runtime v1.8.0 // indirect
)

replace github.com/carecycle/provider-api => ../../..

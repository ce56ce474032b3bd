// Package gen is the server side of the contract: the models, the Echo routes and the strict interface, all generated
// from openapi.yaml into api.gen.go. It stands between Echo's router and server/internal/api, which implements
// StrictServerInterface. The request bodies are patches of package property, the table of a provider's properties.
package gen

// Package providerapi holds the contract of the careCycle customer provider API and the commands that turn it
// into Go. The contract is openapi.yaml; everything else follows from it:
//
//   - gen, the models and the server interface, generated; server implements it;
//   - client, the package that consumers import: a generated part and a hand-written face.
//
// To change the API, edit openapi.yaml and run
//
//	go generate ./...
//
// The compiler then shows what is left to write. Both outputs are committed, and `make check` refuses stale ones.
// The generator's version is pinned by tools.go.
package providerapi

import _ "embed"

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config gen/config.yaml openapi.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config client/config.yaml openapi.yaml

// Contract is openapi.yaml to the letter: what the server validates against, and what it serves at /openapi.yaml.
//
//go:embed openapi.yaml
var Contract []byte

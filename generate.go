// Package providerapi holds the contract of the careCycle customer provider API and the commands that turn it
// into Go. The contract is openapi.yaml; everything else follows from it:
//
//   - gen holds the models and the server interface, which server implements, and gen/property the table of a
//     provider's properties, which both stores, their JSON and the history loop over;
//   - client is the package that consumers import: a generated part and a hand-written face.
//
// To change the API, edit openapi.yaml and run
//
//	go generate ./...
//
// The compiler and the tests then name the code that is missing. The output is committed, and `make check` rejects it when
// it is stale. The generator's version is pinned by tools.go.
package providerapi

import _ "embed"

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config gen/property/config.yaml openapi.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config gen/config.yaml openapi.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config client/config.yaml openapi.yaml
//go:generate sh -c "sed -E -f client/unexport.sed client/client.gen.go > client/client.gen.tmp && mv client/client.gen.tmp client/client.gen.go"

// Contract is openapi.yaml, byte for byte. The server validates requests against it, and serves it with its own address.
//
//go:embed openapi.yaml
var Contract []byte

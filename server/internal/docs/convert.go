package docs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// withThisServer returns the contract, as text and as its mapping, with this server as the first one: the one that serves the document, with
// the prefix before each path.
func withThisServer(contract []byte, prefix string) ([]byte, *yaml.Node, error) {
	doc, err := parse(contract)
	if err != nil {
		return nil, nil, err
	}
	servers := value(doc, "servers")
	if servers == nil || servers.Kind != yaml.SequenceNode || servers.Style&yaml.FlowStyle != 0 || len(servers.Content) == 0 {
		return nil, nil, errors.New("it has no list of servers in block style")
	}
	here := "- url: " + cmp.Or(prefix, "/") + "\n  description: This server\n"
	var added yaml.Node
	if err := yaml.Unmarshal([]byte(here), &added); err != nil {
		return nil, nil, err
	}
	servers.Content = slices.Insert(servers.Content, 0, added.Content[0].Content[0])
	lines, indentation := bytes.SplitAfter(contract, []byte("\n")), strings.Repeat(" ", servers.Column-1)
	for _, line := range slices.Backward(strings.SplitAfter(here, "\n")[:2]) {
		lines = slices.Insert(lines, servers.Line-1, []byte(indentation+line))
	}
	return bytes.Join(lines, nil), doc, nil
}

// parse returns the mapping of a document.
func parse(document []byte) (*yaml.Node, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is not a YAML mapping")
	}
	return root.Content[0], nil
}

// indented returns a node as JSON.
func indented(n *yaml.Node) ([]byte, error) {
	var flat, out bytes.Buffer
	if err := writeJSON(&flat, n); err != nil {
		return nil, err
	}
	if err := json.Indent(&out, flat.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// value returns the value of a mapping's key, nil if it has none.
func value(mapping *yaml.Node, key string) *yaml.Node {
	for name, v := range pairs(mapping) {
		if name == key {
			return v
		}
	}
	return nil
}

func writeJSON(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		return writeList(out, '{', '}', n.Content, 2, func(pair []*yaml.Node) error {
			if err := writeScalar(out, pair[0].Value); err != nil {
				return err
			}
			out.WriteByte(':')
			return writeJSON(out, pair[1])
		})
	case yaml.SequenceNode:
		return writeList(out, '[', ']', n.Content, 1, func(item []*yaml.Node) error {
			return writeJSON(out, item[0])
		})
	case yaml.ScalarNode:
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		return writeScalar(out, v)
	default:
		return fmt.Errorf("line %d: an alias; use $ref", n.Line)
	}
}

func writeList(out *bytes.Buffer, open, end byte, nodes []*yaml.Node, size int, write func([]*yaml.Node) error) error {
	out.WriteByte(open)
	for i := 0; i < len(nodes); i += size {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := write(nodes[i : i+size]); err != nil {
			return err
		}
	}
	out.WriteByte(end)
	return nil
}

func writeScalar(out *bytes.Buffer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // `<string>` is to stay readable
	return enc.Encode(v)
}

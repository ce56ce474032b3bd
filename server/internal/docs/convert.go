package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// convert returns the contract as JSON, and its title. Properties keep the contract's order, because the page shows
// them in it. Before the contract's servers comes the one that the reader has the document from.
func convert(contract []byte) (document []byte, title string, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(contract, &root); err != nil {
		return nil, "", err
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, "", errors.New("it is not a YAML mapping")
	}
	doc := root.Content[0]

	var facts struct {
		Info struct {
			Title string `yaml:"title"`
		} `yaml:"info"`
	}
	if err := doc.Decode(&facts); err != nil {
		return nil, "", err
	}
	servers := value(doc, "servers")
	if servers == nil || servers.Kind != yaml.SequenceNode {
		return nil, "", errors.New("it lists no servers")
	}
	var here yaml.Node
	if err := here.Encode(map[string]string{"url": "/", "description": "This server"}); err != nil {
		return nil, "", err
	}
	servers.Content = append([]*yaml.Node{&here}, servers.Content...)

	var flat, out bytes.Buffer
	if err := writeJSON(&flat, doc); err != nil {
		return nil, "", err
	}
	if err := json.Indent(&out, flat.Bytes(), "", "  "); err != nil {
		return nil, "", err
	}
	out.WriteByte('\n')
	return out.Bytes(), facts.Info.Title, nil
}

// value returns the value of a mapping's key, nil if it has none.
func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
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

package docs

import (
	"bytes"
	_ "embed"
	"html/template"
	"iter"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/server/internal/curl"
	"github.com/yuin/goldmark"
	"go.yaml.in/yaml/v4"
)

//go:embed reference.html
var referenceHTML string

var referenceTemplate = template.Must(template.New("reference.html").Parse(referenceHTML))

// reference is what the page shows of a contract, in the order of the contract. Responses that several operations share are shown once.
type reference struct {
	Options
	Title, Version, Contact, ContactURL, License, LicenseURL string
	Description, Authentication                              template.HTML
	KeyHeader                                                string
	Operations                                               []operation
	Responses                                                []response // those that operations share
	Objects                                                  []object
	Headers                                                  []field
}

// operation is a method of a path.
type operation struct {
	ID, Method, Path, Summary, Permission string
	Description                           template.HTML
	Parameters                            []field
	Body                                  object
	Examples                              []example // of the body
	Responses                             []response
}

// Command returns a command that sends the first example of an operation.
func (r *reference) Command(o operation) curl.Command {
	c := curl.Command{Method: o.Method, URL: "https://SERVER" + r.Prefix + o.URL(), Headers: []string{r.KeyHeader + ": YOUR-KEY"}}
	if len(o.Examples) > 0 {
		c.Headers, c.Body = append(c.Headers, "Content-Type: "+o.Examples[0].MediaType), o.Examples[0].JSON
	}
	return c
}

// URL returns the path with the examples of its parameters.
func (o operation) URL() string {
	path := o.Path
	for _, p := range o.Parameters {
		if p.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		}
	}
	return path
}

// object is a schema with properties.
type object struct {
	Name        string
	Description template.HTML
	Includes    []string // the objects whose properties it has, too
	Properties  []field
}

// field is a parameter, a header, or a property of an object.
type field struct {
	Name, In, Example string
	Required          bool
	Type, Description template.HTML
	Values            []string // the only ones
	Limits            []string
}

// response is a response of an operation. If several operations share it, it has a Name, under which it is described once.
type response struct {
	Name, Status string
	Description  template.HTML
	Headers      []string
	Body         template.HTML // its type
	Examples     []example
}

// example is a body in JSON.
type example struct{ MediaType, Summary, JSON string }

// reader reads the nodes of a contract. A node that does not exist is nil, and empty.
type reader struct {
	root *yaml.Node
	page *reference
}

// readReference returns what the page shows of a contract.
func readReference(root *yaml.Node, o Options) *reference {
	page := &reference{Options: o}
	r := reader{root, page}
	info := r.get(root, "info")
	page.Title, page.Version, page.Description = r.text(info, "title"), r.text(info, "version"), r.markdown(info)
	page.Contact, page.ContactURL = r.text(info, "contact", "name"), r.text(info, "contact", "url")
	page.License, page.LicenseURL = r.text(info, "license", "name"), r.text(info, "license", "url")
	for _, scheme := range pairs(r.get(root, "components", "securitySchemes")) {
		page.KeyHeader, page.Authentication = r.text(scheme, "name"), r.markdown(scheme)
	}
	for path, methods := range pairs(r.get(root, "paths")) {
		for method, n := range pairs(methods) {
			page.Operations = append(page.Operations, r.operation(method, path, n))
		}
	}
	for name, schema := range pairs(r.get(root, "components", "schemas")) {
		isBody := slices.ContainsFunc(page.Operations, func(o operation) bool { return o.Body.Name == name })
		if isObject(schema) && !isBody {
			page.Objects = append(page.Objects, r.object(name, schema))
		}
	}
	return page
}

func (r reader) operation(method, path string, n *yaml.Node) operation {
	o := operation{
		ID: r.text(n, "operationId"), Method: strings.ToUpper(method), Path: path, Summary: r.text(n, "summary"),
		Permission: r.text(n, "x-required-permission"), Description: r.markdown(n),
	}
	for _, parameter := range items(r.get(n, "parameters")) {
		parameter = r.follow(parameter)
		o.Parameters = append(o.Parameters, r.field(r.text(parameter, "name"), parameter, r.text(parameter, "required") == "true"))
	}
	for mediaType, content := range pairs(r.get(n, "requestBody", "content")) {
		o.Body = r.object(refName(value(content, "schema")), r.get(content, "schema"))
		o.Examples = append(o.Examples, r.examples(mediaType, content)...)
	}
	for status, n := range pairs(r.get(n, "responses")) {
		res := r.response(status, n)
		o.Responses = append(o.Responses, res)
		isKnown := slices.ContainsFunc(r.page.Responses, func(known response) bool { return known.Name == res.Name })
		if res.Name != "" && !isKnown {
			r.page.Responses = append(r.page.Responses, res)
		}
	}
	return o
}

func (r reader) response(status string, n *yaml.Node) response {
	name := refName(n)
	n = r.follow(n)
	res := response{Name: name, Status: status, Description: r.markdown(n)}
	for name, header := range pairs(r.get(n, "headers")) {
		res.Headers = append(res.Headers, name)
		if !slices.ContainsFunc(r.page.Headers, func(known field) bool { return known.Name == name }) {
			r.page.Headers = append(r.page.Headers, r.field(name, r.follow(header), false))
		}
	}
	for mediaType, content := range pairs(r.get(n, "content")) {
		res.Body = r.typeOf(value(content, "schema"))
		res.Examples = append(res.Examples, r.examples(mediaType, content)...)
	}
	return res
}

func (r reader) examples(mediaType string, content *yaml.Node) (all []example) {
	if n := value(content, "example"); n != nil {
		all = append(all, example{mediaType, "", exampleOf(n)})
	}
	for _, n := range pairs(r.get(content, "examples")) {
		all = append(all, example{mediaType, r.text(n, "summary"), exampleOf(r.get(n, "value"))})
	}
	return all
}

func exampleOf(n *yaml.Node) string {
	text, err := indented(n)
	if err != nil {
		panic(err) // the whole contract has been converted before
	}
	return strings.TrimSpace(string(text))
}

func isObject(schema *yaml.Node) bool {
	return value(schema, "properties") != nil || value(schema, "allOf") != nil
}

func (r reader) object(name string, schema *yaml.Node) object {
	o := object{Name: name, Description: r.markdown(schema)}
	required := items(value(schema, "required"))
	for name, property := range pairs(value(schema, "properties")) {
		isRequired := slices.ContainsFunc(required, func(n *yaml.Node) bool { return n.Value == name })
		o.Properties = append(o.Properties, r.field(name, property, isRequired))
	}
	for _, part := range items(value(schema, "allOf")) {
		if included := refName(part); included != "" {
			o.Includes = append(o.Includes, included)
			continue
		}
		o.Properties = append(o.Properties, r.object("", part).Properties...)
	}
	return o
}

// field describes a property, whose node is its schema, or a parameter or a header, which have a schema.
func (r reader) field(name string, n *yaml.Node, required bool) field {
	schema := n
	if of := value(n, "schema"); of != nil {
		schema = of
	}
	f := field{Name: name, In: r.text(n, "in"), Required: required, Type: r.typeOf(schema), Description: r.markdown(n)}
	schema = r.follow(schema)
	if f.Description == "" {
		f.Description = r.markdown(schema)
	}
	for _, of := range []*yaml.Node{n, schema} {
		if f.Example == "" {
			f.Example = r.text(of, "example")
		}
	}
	for _, v := range items(value(schema, "enum")) {
		f.Values = append(f.Values, v.Value)
	}
	for keyword, limit := range pairs(schema) {
		if words, ok := limits[keyword]; ok && limit.Value != anyText {
			f.Limits = append(f.Limits, words+" "+limit.Value)
		}
	}
	return f
}

// limits are the keywords that limit a value, with the words for them.
var limits = map[string]string{
	"minLength": "minimum length", "maxLength": "maximum length", "minimum": "minimum", "maximum": "maximum",
	"minItems": "minimum number", "maxItems": "maximum number", "pattern": "pattern", "default": "default",
}

// anyText is the pattern of every text. The contract's introduction describes it.
const anyText = `^[^\x00]*$`

// typeOf describes the type of a schema, with links to objects.
func (r reader) typeOf(schema *yaml.Node) template.HTML {
	name := refName(schema)
	schema = r.follow(schema)
	if name != "" && isObject(schema) {
		name = template.HTMLEscapeString(name)
		return template.HTML(`<a href="#` + name + `">` + name + `</a>`)
	}
	var words []string
	for _, part := range items(value(schema, "oneOf")) {
		words = append(words, string(r.typeOf(part)))
	}
	if text := r.text(schema, "type"); text == "array" {
		words = append(words, "array of "+string(r.typeOf(value(schema, "items"))))
	} else if text != "" {
		if format := r.text(schema, "format"); format != "" {
			text += " (" + format + ")"
		}
		words = append(words, template.HTMLEscapeString(text))
	}
	if r.text(schema, "nullable") == "true" {
		words = append(words, "null")
	}
	return template.HTML(strings.Join(words, " or "))
}

// get returns the node at the end of a path of keys.
func (r reader) get(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		n = r.follow(value(n, key))
	}
	return n
}

// text returns the text at the end of a path of keys.
func (r reader) text(n *yaml.Node, keys ...string) string {
	if n = r.get(n, keys...); n == nil {
		return ""
	}
	return n.Value
}

// markdown returns the description of a node. HTML in it is left out.
func (r reader) markdown(n *yaml.Node) template.HTML {
	var out bytes.Buffer
	if err := goldmark.Convert([]byte(r.text(n, "description")), &out); err != nil {
		panic(err) // a Buffer takes everything
	}
	return template.HTML(out.String())
}

// follow returns what a node refers to with $ref, or the node itself.
func (r reader) follow(n *yaml.Node) *yaml.Node {
	ref := value(n, "$ref")
	if ref == nil {
		return n
	}
	return r.get(r.root, strings.Split(strings.TrimPrefix(ref.Value, "#/"), "/")...)
}

// refName returns the name of what a node refers to with $ref, or "".
func refName(n *yaml.Node) string {
	ref := value(n, "$ref")
	if ref == nil {
		return ""
	}
	return ref.Value[strings.LastIndexByte(ref.Value, '/')+1:]
}

// pairs returns the keys and the values of a mapping. Other nodes have none.
func pairs(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// items returns the nodes in a list.
func items(list *yaml.Node) []*yaml.Node {
	if list == nil {
		return nil
	}
	return list.Content
}

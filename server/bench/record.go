//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/google/uuid"
)

// perCustomer is how many providers a customer has.
const perCustomer = 10

// updated is a property that every update here sets. They are all of the contract's but customerId.
type updated struct {
	name, column string
	value        any // a bool, or text in which @ stands for six random digits, the part that changes
}

// texts are about as long as those of the documented example.
var texts = map[string]string{
	"specialty":    "Internal medicine",
	"providerName": "Dr. Ada Example",
	"practiceName": "Example Family Practice",
	"npi":          "1234@",
	"phone":        "+1 555 @",
	"fax":          "+1 556 @",
	"email":        "office@example.org",
	"address":      "1 Main Street",
	"address2":     "Suite 200",
	"city":         "Springfield",
	"state":        "IL",
	"postalCode":   "62701",
	"notes":        "Prefers to be called in the morning. @",
}

// record is what an update sets. The providers that are imported hold it too, so that an update changes four properties,
// whether it is a record's first or not.
var record = func() (record []updated) {
	for _, p := range property.Table {
		one := updated{p.Name, schema.Column(&p), true}
		if p.Enum != nil {
			one.value = p.Enum[0]
		} else if p.Kind == property.TextKind {
			one.value = texts[p.Name]
		}
		record = append(record, one)
	}
	return record
}()

// members is the record as the members of a JSON object.
func members() string {
	var list []string
	for _, p := range record {
		value, err := json.Marshal(p.value)
		if err != nil {
			panic(err) // text and bools
		}
		list = append(list, fmt.Sprintf("%q:%s", p.name, value))
	}
	return strings.Join(list, ",")
}

// idOf is the ID of the provider, or the customer, of that number.
func idOf(number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", number))
}

// writeImport writes a file for the server's import command.
func writeImport(path string, providers int) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	imported := strings.ReplaceAll(members(), "@", "000000")
	for n := range providers {
		fmt.Fprintf(w, "{\"id\":\"%s\",\"customerId\":\"%s\",%s}\n", idOf(n), idOf(n/perCustomer), imported)
	}
	return w.Flush()
}

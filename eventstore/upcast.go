package eventstore

import (
	"encoding/json"
	"strings"
)

// upcaster lifts the data of an event by one schemaVersion. Published shapes never change, so neither do upcasters.
type upcaster func(raw json.RawMessage) (json.RawMessage, error)

// balanceChangedV1 lifts the first shape, which knew neither currency nor counterparty: every account was kept in US
// dollars then, and the reason named the kind of movement.
func balanceChangedV1(raw json.RawMessage) (json.RawMessage, error) {
	data := map[string]json.RawMessage{} // Values stay as written: amounts must not pass through a float.
	if err := json.Unmarshal(raw, &data); err != nil {
		return nil, err
	}
	setDefault(data, "currency", `"USD"`)
	kind := `"TRANSFER"`
	if strings.EqualFold(string(data["reason"]), `"topup"`) {
		kind = `"TOPUP"`
	}
	setDefault(data, "transactionType", kind)
	setDefault(data, "counterpartyId", `"external:unknown:USD"`)
	return json.Marshal(data)
}

func setDefault(data map[string]json.RawMessage, name, value string) {
	if _, ok := data[name]; !ok {
		data[name] = json.RawMessage(value)
	}
}

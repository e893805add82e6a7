package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestTheListOfErrorsIsUpToDate(t *testing.T) {
	schema, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	want, err := render(string(schema))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/errors.md is not what the schema now says: make generate")
	}
}

func TestACodeThatIsNotExplainedIsNotPassedOver(t *testing.T) {
	for schema, says := range map[string]string{
		`enum ErrorCode { "New." BRAND_NEW }`:                 "BRAND_NEW is not explained",
		`enum ErrorCode { SAME_ACCOUNT }`:                     "SAME_ACCOUNT is not explained",
		`enum ErrorCode { "The same account." SAME_ACCOUNT }`: "codes are explained, the schema has 1",
		`enum Other { "One." ONE }`:                           "no ErrorCode",
		`enum`:                                                "reading the schema",
	} {
		if _, err := render(schema); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want «%s»", schema, err, says)
		}
	}
}

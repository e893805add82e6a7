package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTheEventCatalogueIsUpToDate(t *testing.T) {
	want, err := render(os.DirFS("../../eventstore/testdata/events"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/events.md is not what the events now are: make generate")
	}
}

func TestAnEventWithoutExampleIsNotPassedOver(t *testing.T) {
	published := fstest.MapFS{}
	file, err := os.ReadFile("../../eventstore/testdata/events/BalanceChanged.v2.json")
	if err != nil {
		t.Fatal(err)
	}
	published["BalanceChanged.v2.json"] = &fstest.MapFile{Data: file}
	if _, err := render(published); err == nil || !strings.Contains(err.Error(), "no published example of AccountCreated.v1") {
		t.Errorf("got %v", err)
	}
}

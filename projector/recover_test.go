package projector

import (
	"context"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"daybook/internal/testenv"
)

func TestASealWithoutContentIsNoneAndAWrongOneIsDamage(t *testing.T) {
	l := newLedger(t)
	l.history(1, 100)
	url := testenv.SQLite(t)
	seal := strings.TrimPrefix(url, "sqlite://") + sealSuffix
	recovered := func() *ReadModel {
		m, err := Recover(context.Background(), Config{URL: url, LogID: "log-1", Clock: time.Now, Logger: testenv.Logger()}, l.client, partitions)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	for _, c := range []struct {
		content string
		keeps   bool
	}{{"", true}, {"\x00\x00\x00\x00", true}, {strings.Repeat("0", 64) + "\n", false}} {
		m := recovered()
		_, stop := project(t, l.client, m)
		l.awaitProjected(m)
		stop()
		before := positions(t, m)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(seal); err != nil || len(text) != 65 {
			t.Fatalf("the seal is %q, %v", text, err)
		}
		if err := os.WriteFile(seal, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}

		m = recovered()

		if kept := maps.Equal(positions(t, m), before); kept != c.keeps {
			t.Errorf("with the seal %q the read model is kept: %v, want %v", c.content, kept, c.keeps)
		}
		if _, err := os.Stat(seal); !os.IsNotExist(err) {
			t.Errorf("with the seal %q a read model in use has one: %v", c.content, err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

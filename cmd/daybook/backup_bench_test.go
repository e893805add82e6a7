package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/internal/archive"
	"daybook/internal/bench"
	"daybook/internal/datadir"
)

// archivedEvents is about how many account events the measured log has; transactions' events come on top.
const archivedEvents = 500_000

// BenchmarkBackupAndRestore backs a busy node's log up, and makes a directory of that. Run it with -benchtime=1x.
func BenchmarkBackupAndRestore(b *testing.B) {
	for range b.N {
		dir := b.TempDir()
		cfg := config{Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "node"), SessionTimeout: 10 * time.Second}
		file, to := filepath.Join(dir, "archive"), filepath.Join(dir, "restored")
		err := withNode(b.Context(), cfg, quiet, func(m *Main) error {
			if err := fillLog(b.Context(), m); err != nil {
				return err
			}
			busy, stop := context.WithCancel(b.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() {
				_, err := bench.HTTPTransfers(busy, m.URL(), m.partitions, 64, time.Hour)
				ended <- err
			}()
			time.Sleep(5 * time.Second) // Until the load is a steady one.
			f, err := archive.Create(file)
			if err != nil {
				return err
			}
			s, err := backUp(b.Context(), cfg, f)
			stop()
			<-ended
			b.ReportMetric(s.took.Seconds(), "backup-s")
			b.ReportMetric(float64(s.Pause.Microseconds())/1000, "pause-ms")
			b.ReportMetric(float64(s.Records), "records")
			b.ReportMetric(megabytes(s.Bytes), "log-MB")
			b.ReportMetric(megabytes(s.archive), "archive-MB")
			return errors.Join(err, f.Commit())
		})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		building, err := datadir.Build(to)
		if err == nil {
			_, err = restore(b.Context(), file, building.Dir(), quiet)
		}
		if err == nil {
			err = building.Finish()
		}
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "restore-s")
		began = time.Now()
		cfg.DataDir = to
		err = withNode(b.Context(), cfg, quiet, func(m *Main) error {
			b.ReportMetric(time.Since(began).Seconds(), "ready-s")
			_, err := bench.Settle(b.Context(), m.benchNode())
			b.ReportMetric(time.Since(began).Seconds(), "queries-s")
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// fillLog lets clients transfer until the log has enough.
func fillLog(ctx context.Context, m *Main) error {
	for {
		if _, err := bench.HTTPBatches(ctx, m.URL(), m.partitions, 100, 4, 5*time.Second); err != nil {
			return err
		}
		events := int64(0)
		for p := range m.partitions {
			end, err := m.cluster.client.EndOffset(eventstore.AccountEvents, p)
			if err != nil {
				return err
			}
			events += end
		}
		if events >= archivedEvents {
			return nil
		}
	}
}

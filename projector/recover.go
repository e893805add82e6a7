package projector

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/uptrace/bun/driver/sqliteshim"
)

// LogWithEnd is a log that also tells where it ends.
type LogWithEnd interface {
	Log
	// EndOffset is the offset that the next record of a partition will have.
	EndOffset(topic string, partition int32) (int64, error)
}

// sealSuffix names the file that holds a SQLite file's checksum from its clean closing to its next opening.
const sealSuffix = "-seal"

// progressPause is the time between two lines about a long comparison.
const progressPause = 5 * time.Second

// trust is how far the content of a SQLite file can be relied on: the file has no checksums of its own.
type trust int

const (
	absent trust = iota
	sealed
	unsealed
	spoilt
)

// Recover opens a read model in SQLite as Open does. A file that is not as it was left, or was not closed and
// differs from the log, is deleted and begun anew: the projector folds the log into it again. It fails when the log ends
// before the read model does, and when the log cannot be read.
func Recover(ctx context.Context, cfg Config, log LogWithEnd, partitions int32) (*ReadModel, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "sqlite" {
		return nil, setupError{"only a read model in SQLite can be recovered: open it instead"}
	}
	state, why, err := unseal(ctx, u.Path)
	if err != nil {
		return nil, err
	}
	if state == spoilt {
		if err := startOver(cfg, u.Path, why); err != nil {
			return nil, err
		}
	}
	opening, cancel := context.WithTimeout(ctx, openPatience)
	m, err := Open(opening, cfg)
	cancel()
	if err != nil {
		return nil, err
	}
	why, err = m.suspect(ctx, log, partitions, state)
	if err == nil && why == "" {
		m.seal = u.Path + sealSuffix
		return m, nil
	}
	if err := errors.Join(err, m.Close()); err != nil {
		return nil, err
	}
	if err := startOver(cfg, u.Path, why); err != nil {
		return nil, err
	}
	if m, err = Open(ctx, cfg); err == nil {
		m.seal = u.Path + sealSuffix
	}
	return m, err
}

// unseal tells how far a file can be relied on, and breaks the seal, so that a file in use has none.
func unseal(ctx context.Context, path string) (trust, string, error) {
	want, err := os.ReadFile(path + sealSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, "", fmt.Errorf("reading the checksum of the read model: %w", err)
	}
	hadSeal := err == nil
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if leftover(path) {
			return spoilt, "the file is missing", nil
		}
		return absent, "", nil
	}
	sum := strings.Trim(string(want), "\n\x00") // A power cut can leave a seal without its content: then it is none.
	if sum != "" {
		is, err := checksum(path)
		if err != nil {
			return 0, "", err
		}
		if is != sum {
			return spoilt, "it is not as it was closed", nil
		}
	}
	if hadSeal {
		if err := os.Remove(path + sealSuffix); err != nil {
			return 0, "", fmt.Errorf("the read model's checksum cannot be removed; mend the rights of its directory: %w", err)
		}
	}
	if sum != "" {
		return sealed, "", nil
	}
	if why := malformed(ctx, path); why != "" {
		return spoilt, why, nil
	}
	return unsealed, "", nil
}

// leftover tells whether files lie beside one that is missing.
func leftover(path string) bool {
	found, _ := filepath.Glob(path + "-*")
	return len(found) > 0
}

// malformed asks SQLite whether a file that was not closed fits together. What it does not know is the content.
func malformed(ctx context.Context, path string) string {
	db, err := sql.Open(sqliteshim.ShimName, "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return ""
	}
	defer db.Close() //nolint:errcheck // It was only read.
	var answer string
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&answer)
	switch {
	case isMalformed(err):
		return err.Error()
	case err != nil: // What keeps it from being opened is told when it is opened.
		return ""
	case answer != "ok":
		return answer
	}
	return ""
}

// isMalformed tells whether SQLite refused a file for its content.
func isMalformed(err error) bool {
	var file interface{ Code() int }
	if !errors.As(err, &file) {
		return false
	}
	const primary, corrupt, notDatabase = 0xff, 11, 26
	return file.Code()&primary == corrupt || file.Code()&primary == notDatabase
}

// suspect tells why an open read model cannot be relied on, if it cannot.
func (m *ReadModel) suspect(ctx context.Context, log LogWithEnd, partitions int32, state trust) (string, error) {
	if state == absent || state == spoilt {
		return "", nil
	}
	if why, err := m.aheadOf(ctx, log); why != "" || err != nil {
		return why, err
	}
	if state == sealed {
		return "", nil
	}
	began := m.cfg.Clock()
	m.cfg.Logger.Info("the read model was not closed, and is compared with the log")
	report, err := Verify(ctx, VerifyConfig{Log: log, Model: m, Partitions: partitions, Progress: m.tellProgress(began)})
	switch {
	case err != nil && (isDamage(err) || isMalformed(err)):
		return err.Error(), nil
	case err != nil:
		return "", fmt.Errorf("comparing the read model with the log, because it was not closed: %w", err)
	case !report.OK():
		d := report.Differences[0]
		return fmt.Sprintf("%d differences from the log, the first about %s: %s", report.Found, d.Subject, d.Message), nil
	}
	m.cfg.Logger.Info("the read model is that of the log", "events", report.Events, "took", m.cfg.Clock().Sub(began))
	return "", nil
}

// tellProgress logs how far a comparison has come, now and then.
func (m *ReadModel) tellProgress(last time.Time) func(done, total int64) {
	return func(done, total int64) {
		if now := m.cfg.Clock(); now.Sub(last) >= progressPause {
			last = now
			m.cfg.Logger.Info("comparing the read model with the log", "read", done, "of", total)
		}
	}
}

// aheadOf compares the positions with the ends of the log.
func (m *ReadModel) aheadOf(ctx context.Context, log LogWithEnd) (string, error) {
	s, err := m.snapshot(ctx)
	if err == nil {
		defer s.close()
		var positions map[place]int64
		if positions, err = s.positions(ctx); err == nil {
			return "", m.within(positions, log)
		}
	}
	if isDamage(err) || isMalformed(err) {
		return err.Error(), nil
	}
	return "", err
}

func (m *ReadModel) within(positions map[place]int64, log LogWithEnd) error {
	for at, next := range positions {
		end, err := log.EndOffset(at.topic, at.partition)
		if err != nil {
			return fmt.Errorf("asking for the end of %s/%d: %w", at.topic, at.partition, err)
		}
		if next > end {
			return setupError{fmt.Sprintf("the read model %s is at offset %d of %s/%d, which ends at %d, so the log lost its end: restore the log (daybook restore); only if the log is whole, delete the read model",
				m.db.name, next, at.topic, at.partition, end)}
		}
	}
	return nil
}

// startOver deletes a SQLite file and those beside it.
func startOver(cfg Config, path, why string) error {
	cfg.Logger.Warn("the read model is damaged, and is built again from the log; until then queries show what has been projected; look after the disk",
		"file", path, "cause", why)
	found, err := filepath.Glob(path + "-*")
	for _, file := range append(found, path) {
		if gone := os.Remove(file); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		return setupError{fmt.Sprintf("the read model %s is damaged and cannot be deleted (%v): delete it and the files beside it that begin with that name; it is built again from the log", path, err)}
	}
	return nil
}

// sealFile records the checksum of a SQLite file that was closed.
func sealFile(seal string) error {
	path := strings.TrimSuffix(seal, sealSuffix)
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		return nil // Another program still has it open.
	}
	sum, err := checksum(path)
	if err != nil {
		return err
	}
	temporary := seal + ".tmp"
	err = writeSynced(temporary, sum+"\n")
	if err == nil {
		err = os.Rename(temporary, seal)
	}
	if err != nil {
		return fmt.Errorf("writing the checksum of the read model: %w", err)
	}
	return nil
}

// writeSynced writes a file that keeps its content through a power cut, whatever it is renamed to.
func writeSynced(path, content string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func checksum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the read model: %w", err)
	}
	defer file.Close() //nolint:errcheck // It was only read.
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("reading the read model: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

package projector

import (
	"context"
	"database/sql"
	"slices"

	"github.com/uptrace/bun"

	"daybook/domain/account"
)

// groupChunk is how many changes are looked at before it is seen whether that is enough.
const groupChunk = 4096

// groupKey tells to which group of an explanation a change belongs.
type groupKey struct {
	kind         account.MovementType
	counterparty string
	direction    account.ChangeType
	reversal     bool
}

func (g *ExplanationGroup) key() groupKey {
	return groupKey{g.TransactionType, g.CounterpartyID, g.ChangeType, g.Reversal}
}

// ChangesBehind returns a page of the changes behind each of an explanation's groups, oldest first. The query has the
// explanation's account, period and version, and what bounds and begins every page. The period is gone over once, whatever
// the number of groups, and only until all pages are there. READ_TIMEOUT when it takes too long, OVERLOADED when too many
// do so.
func (m *ReadModel) ChangesBehind(ctx context.Context, q ChangesQuery, groups []ExplanationGroup) ([]ChangesPage, error) {
	first := bounds(q.First)
	found := make([][]eventRow, len(groups))
	err := m.costly(ctx, func(ctx context.Context) error {
		look, err := m.snapshot(ctx)
		if err != nil {
			return err
		}
		defer look.close()
		versions, err := m.versionsBehind(ctx, look, q, groups, first)
		if err != nil {
			return err
		}
		rows, err := look.eventsAt(ctx, q.AccountID, slices.Concat(versions...))
		if err != nil {
			return err
		}
		for i := range groups {
			found[i], rows = rows[:len(versions[i])], rows[len(versions[i]):]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	pages := make([]ChangesPage, len(groups))
	for i := range groups {
		if pages[i], err = m.changesPage(ctx, found[i], first); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// versionsBehind finds the versions of each group's changes, in their order: where there are as many, one more than a page
// has.
func (m *ReadModel) versionsBehind(ctx context.Context, look *snapshot, q ChangesQuery, groups []ExplanationGroup, first int) ([][]int64, error) {
	versions := make([][]int64, len(groups))
	place, missing := map[groupKey]int{}, map[groupKey]int64{}
	for i := range groups {
		if wanted := min(int64(first)+1, groups[i].Count); wanted > 0 {
			place[groups[i].key()], missing[groups[i].key()] = i, wanted
		}
	}
	for more := true; more && len(missing) > 0; {
		find := m.changesOf(look.tx.NewSelect().Model((*eventRow)(nil)), q).Limit(groupChunk).
			Column("version", "transaction_type", "counterparty_id", "change_type", "reversal")
		n := 0
		err := eachRow(ctx, m.inOrder(find, q), func(scan func(...any) error) error {
			var k groupKey
			var kind, counterparty sql.NullString
			if err := scan(&q.AfterVersion, &kind, &counterparty, &k.direction, &k.reversal); err != nil {
				return err
			}
			n++
			k.kind, k.counterparty = account.MovementType(kind.String), counterparty.String
			if missing[k] == 0 {
				return nil
			}
			if missing[k]--; missing[k] == 0 {
				delete(missing, k)
			}
			versions[place[k]] = append(versions[place[k]], q.AfterVersion)
			return nil
		})
		if err != nil {
			return nil, err
		}
		more = n == groupChunk
	}
	return versions, nil
}

// eventsAt returns an account's events of these versions, in the same order.
func (s *snapshot) eventsAt(ctx context.Context, accountID string, versions []int64) ([]eventRow, error) {
	ordered := make([]eventRow, len(versions))
	place := map[int64]int{}
	for i, version := range versions {
		place[version] = i
	}
	for some := range slices.Chunk(versions, maxPage) {
		var rows []eventRow
		err := s.tx.NewSelect().Model(&rows).Where("account_id = ?", accountID).Where("version IN (?)", bun.List(some)).Scan(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			ordered[place[rows[i].Version]] = rows[i]
		}
	}
	return ordered, nil
}

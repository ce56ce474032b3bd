package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/jackc/pgx/v5"
)

var _ apikey.SharedLimits = (*Store)(nil)

const (
	insertBuckets = `INSERT INTO rate_buckets (key_id, tokens, granted, at)
		SELECT unnest($1::text[]), unnest($2::float8[]), 0, statement_timestamp() ON CONFLICT DO NOTHING`

	// What is in a bucket, refilled since it was written, when what is owed is paid.
	availableTokens = `least(draw.capacity, least(draw.capacity, bucket.tokens +
		draw.capacity / 60 * greatest(0, extract(epoch FROM statement_timestamp() - bucket.at)::float8)) - draw.owed)`
	grantedTokens = "greatest(0, least(draw.wanted, floor((" + availableTokens + " + 1) / 2)))"
	drawTokens    = "UPDATE rate_buckets AS bucket SET tokens = " + availableTokens + " - " + grantedTokens + ", granted = " + grantedTokens + `,
			at = greatest(bucket.at, statement_timestamp())
		FROM unnest($1::text[], $2::float8[], $3::float8[], $4::float8[]) AS draw (key_id, capacity, owed, wanted)
		WHERE bucket.key_id = draw.key_id
		RETURNING bucket.key_id, bucket.granted, bucket.tokens`
)

// DrawTokens implements [apikey.SharedLimits], in one round trip. Every server locks the buckets in the order of their keys. It does not
// retry: after a failure nobody knows whether the tokens were drawn.
func (s *Store) DrawTokens(ctx context.Context, draws []apikey.Draw) (map[string]apikey.Grant, error) {
	draws = slices.Clone(draws)
	slices.SortFunc(draws, func(a, b apikey.Draw) int { return cmp.Compare(a.KeyID, b.KeyID) })
	keys := column(draws, func(d apikey.Draw) string { return d.KeyID })
	capacities := column(draws, func(d apikey.Draw) float64 { return float64(d.RateLimit) })
	owed := column(draws, func(d apikey.Draw) float64 { return float64(d.Owed) })
	wanted := column(draws, func(d apikey.Draw) float64 { return float64(d.Wanted) })
	grants := make(map[string]apikey.Grant, len(draws))
	err := s.attempt(ctx, statementTimeout, func(ctx context.Context, c *pgx.Conn) error {
		b := new(pgx.Batch)
		b.Queue(insertBuckets, keys, capacities)
		b.Queue(drawTokens, keys, capacities, owed, wanted).Query(func(rows pgx.Rows) error {
			var key string
			var tokens, left float64
			_, err := pgx.ForEachRow(rows, []any{&key, &tokens, &left}, func() error {
				grants[key] = apikey.Grant{Tokens: int(tokens), Left: left}
				return nil
			})
			return err
		})
		return c.SendBatch(ctx, b).Close()
	})
	return grants, err
}

-- The read model with holds, books and origins. Its tables take the place of those of the first version, and are filled
-- from the log anew, since the positions go too. The positions have another name than before: a node of the version
-- before that still runs must not write into these tables. For a while, the first migration made what this one makes.
-- Amounts are decimal text at the currency's scale, exact in every database; moments are milliseconds since 1970 in UTC;
-- what an event or account does not have is NULL. {key} is text compared byte by byte.

DROP VIEW IF EXISTS postings;
DROP TABLE IF EXISTS ledger;
DROP TABLE IF EXISTS holds;
DROP TABLE transactions;
DROP TABLE account_events;
DROP TABLE accounts;
DROP TABLE projector_offsets;

-- How far each partition is projected: the offset of the first event that is not. It moves with the rows, in one
-- transaction.
CREATE TABLE projector_positions (
    topic     {key}   NOT NULL,
    partition integer NOT NULL,
    next      bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- One row per account. status is NULL while an account does not exist that has events all the same: refused credits.
CREATE TABLE accounts (
    id          {key}   PRIMARY KEY,
    owner_id    {key},
    type        text,
    currency    text,
    status      text,
    balance     text,
    held        text,
    min_balance text,
    max_balance text,
    version     bigint  NOT NULL,
    created_at  bigint,
    updated_at  bigint  NOT NULL,
    partition   integer NOT NULL
);

-- Only what is fixed when an account is opened, or rare, is indexed: a movement updates no index of this table.
CREATE INDEX accounts_by_owner ON accounts (owner_id, id);
CREATE INDEX accounts_by_currency ON accounts (currency, id);
CREATE INDEX accounts_not_active ON accounts (status, id) WHERE status <> 'ACTIVE';
CREATE INDEX accounts_not_user ON accounts (type, id) WHERE type <> 'USER';

-- One row per event: the audit trail. balance is the account's after the event; details holds, as JSON, what only
-- rare events have.
CREATE TABLE account_events (
    account_id       {key}   NOT NULL,
    version          bigint  NOT NULL,
    at               bigint  NOT NULL,
    log_offset       bigint  NOT NULL,
    partition        integer NOT NULL,
    reversal         boolean NOT NULL,
    event_type       text    NOT NULL,
    event_id         text    NOT NULL,
    balance          text,
    amount           text,
    change_type      text,
    currency         text,
    reason           text,
    transaction_id   text,
    transaction_type text,
    counterparty_id  text,
    hold_id          text,
    refund_of        text,
    refusal_code     text,
    actor_id         text,
    actor_type       text,
    correlation_id   text,
    causation_id     text,
    details          text,
    PRIMARY KEY (account_id, version)
);

-- The balance at a moment is one seek here, whatever the history's length.
CREATE INDEX account_events_by_time ON account_events (account_id, at, version);

-- What the ledger's buckets are made of.
CREATE INDEX account_events_by_offset ON account_events (partition, log_offset);

-- The origin of a transaction (correlation, causation, actor, moment) is that of its first event.
CREATE TABLE transactions (
    id             {key}   PRIMARY KEY,
    type           text    NOT NULL,
    status         text    NOT NULL,
    amount         text    NOT NULL,
    currency       text    NOT NULL,
    from_id        text,
    to_id          text,
    reason         text,
    hold_id        text,
    refund_of      text,
    failure_code   text,
    updated_at     bigint  NOT NULL,
    version        integer NOT NULL,
    created_at     bigint  NOT NULL,
    correlation_id {key},
    causation_id   text,
    actor_id       text,
    actor_type     text,
    partition      integer NOT NULL
);

CREATE INDEX transactions_not_completed ON transactions (status, id) WHERE status <> 'COMPLETED';
CREATE INDEX transactions_by_correlation ON transactions (correlation_id, id);

-- One row per hold. placed is the account's version when it was placed, version that after the hold's last event.
CREATE TABLE holds (
    id              {key}   PRIMARY KEY,
    account_id      {key}   NOT NULL,
    counterparty_id text,
    currency        text    NOT NULL,
    amount          text    NOT NULL,
    captured        text    NOT NULL,
    released        text    NOT NULL,
    status          text    NOT NULL,
    reason          text,
    expires_at      bigint  NOT NULL,
    created_at      bigint  NOT NULL,
    updated_at      bigint  NOT NULL,
    placed          bigint  NOT NULL,
    version         bigint  NOT NULL,
    partition       integer NOT NULL
);

CREATE INDEX holds_by_account ON holds (account_id, placed);
CREATE INDEX holds_active ON holds (account_id, placed) WHERE status = 'ACTIVE';

-- Double entry: a change of balance is posted to the account and, with the other sign, to the world outside or to what
-- is in transit between two accounts. What customers have is owed to them: money in is a credit.
CREATE VIEW postings AS
SELECT account_id AS account, currency, change_type AS side, amount,
       CASE change_type WHEN 'CREDIT' THEN amount ELSE '-' || amount END AS signed_amount,
       transaction_id, at, partition, log_offset, account_id AS event_account_id, version AS event_version
FROM account_events
WHERE event_type = 'BalanceChanged'
UNION ALL
SELECT CASE WHEN substr(counterparty_id, 1, 9) = 'external:' THEN counterparty_id
            WHEN transaction_id IS NULL THEN 'external:unknown:' || currency
            ELSE 'in-transit:' || currency END,
       currency, CASE change_type WHEN 'CREDIT' THEN 'DEBIT' ELSE 'CREDIT' END, amount,
       CASE change_type WHEN 'CREDIT' THEN '-' || amount ELSE amount END,
       transaction_id, at, partition, log_offset, account_id, version
FROM account_events
WHERE event_type = 'BalanceChanged';

-- What the postings of a bucket of events (8192 offsets of a partition) sum up to, by currency and account of the
-- ledger: accounts:USER, accounts:SYSTEM, external:<name>:<currency>, in-transit:<currency>. last_at is the moment of
-- the last of them.
CREATE TABLE ledger (
    partition integer NOT NULL,
    bucket    bigint  NOT NULL,
    currency  {key}   NOT NULL,
    account   {key}   NOT NULL,
    debit     text    NOT NULL,
    credit    text    NOT NULL,
    last_at   bigint  NOT NULL,
    PRIMARY KEY (partition, bucket, currency, account)
);

-- The read model. Amounts are decimal text at the currency's scale, exact in every database; moments are milliseconds
-- since 1970 in UTC; what an event or account does not have is NULL. {key} is text compared byte by byte.

CREATE TABLE meta (
    name  {key} PRIMARY KEY,
    value text NOT NULL
);

-- How far each partition is projected: the offset of the first event that is not. It moves with the rows, in one
-- transaction.
CREATE TABLE projector_offsets (
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

CREATE TABLE transactions (
    id           {key}   PRIMARY KEY,
    type         text    NOT NULL,
    status       text    NOT NULL,
    amount       text    NOT NULL,
    currency     text    NOT NULL,
    from_id      text,
    to_id        text,
    reason       text,
    failure_code text,
    created_at   bigint  NOT NULL,
    updated_at   bigint  NOT NULL,
    version      integer NOT NULL,
    partition    integer NOT NULL
);

-- Double entry in plain PostgreSQL. Where care leaves a choice, it is the one that makes the baseline faster: numbers
-- for ids and cents, no foreign keys.

create table accounts (
    id      bigint primary key,
    balance bigint not null,
    constraint no_overdraft check (balance >= 0)
) with (fillfactor = 50); -- Room on the page lets an update leave the index alone.

create table transfers (
    id     bigint generated always as identity,
    key    text collate "C" primary key,
    debit  bigint not null,
    credit bigint not null,
    amount bigint not null,
    constraint two_accounts check (debit <> credit),
    constraint positive_amount check (amount > 0)
);

create table entries (
    transfer bigint not null,
    account  bigint not null,
    amount   bigint not null
);

-- Whoever keeps books reads the statement of an account.
create index statement on entries (account, transfer);

-- transfer moves an amount once for a key and returns the transfer's id, the same when the key is sent again.
create function transfer(a_key text, a_debit bigint, a_credit bigint, an_amount bigint) returns bigint
language plpgsql as $$
declare
    made bigint;
begin
    -- Waits where another one with the key is on its way.
    insert into transfers (key, debit, credit, amount) values (a_key, a_debit, a_credit, an_amount)
    on conflict (key) do nothing returning id into made;
    if not found then
        select id into made from transfers
        where key = a_key and debit = a_debit and credit = a_credit and amount = an_amount;
        if not found then
            raise exception 'KEY_REUSED' using errcode = 'DB001';
        end if;
        return made;
    end if;
    insert into entries (transfer, account, amount) values (made, a_debit, -an_amount), (made, a_credit, an_amount);
    -- Last, for locks are held until the commit is on disk; in the order of ids, so that no two wait for each other.
    -- An update locks its row and sees its latest balance, which no_overdraft checks.
    update accounts set balance = balance + case id when a_credit then an_amount else -an_amount end
    where id = least(a_debit, a_credit);
    if found then
        update accounts set balance = balance + case id when a_credit then an_amount else -an_amount end
        where id = greatest(a_debit, a_credit);
    end if;
    if not found then
        raise exception 'ACCOUNT_NOT_FOUND' using errcode = 'DB001';
    end if;
    return made;
end
$$;

-- transfer_all makes many transfers, all or none, each once for its key, and returns how many of them were new. It locks
-- the accounts at the beginning or not until everything else is done.
create function transfer_all(lock_first boolean, keys text[], debits bigint[], credits bigint[], amounts bigint[])
returns bigint
language plpgsql as $$
declare
    fresh   bigint;
    touched bigint[];
    deltas  bigint[];
    updated bigint;
begin
    if lock_first then
        perform from accounts where id = any (debits || credits) order by id for update;
    end if;
    -- In the order of keys, so that no two wait for each other here either.
    with made as (
        insert into transfers (key, debit, credit, amount)
        select * from unnest(keys, debits, credits, amounts) as sent (key, debit, credit, amount) order by sent.key
        on conflict (key) do nothing returning id, debit, credit, amount
    ), booked as (
        insert into entries (transfer, account, amount)
        select id, debit, -amount from made union all select id, credit, amount from made
        returning account, amount
    ), net as (
        select account, sum(amount)::bigint as delta from booked group by account
    )
    select (select count(*) from made), array_agg(account), array_agg(delta) into fresh, touched, deltas from net;
    if fresh < cardinality(keys) and exists (
        select from unnest(keys, debits, credits, amounts) as sent (key, debit, credit, amount)
        left join transfers as t
            on t.key = sent.key and t.debit = sent.debit and t.credit = sent.credit and t.amount = sent.amount
        where t.key is null
    ) then
        raise exception 'KEY_REUSED' using errcode = 'DB001';
    end if;
    if fresh = 0 then
        return 0;
    end if;
    if not lock_first then
        perform from accounts where id = any (touched) order by id for update;
    end if;
    update accounts as a set balance = a.balance + n.delta
    from unnest(touched, deltas) as n (id, delta) where a.id = n.id;
    get diagnostics updated = row_count;
    if updated < cardinality(touched) then
        raise exception 'ACCOUNT_NOT_FOUND' using errcode = 'DB001';
    end if;
    return fresh;
end
$$;

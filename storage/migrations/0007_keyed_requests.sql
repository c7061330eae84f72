-- What was asked with an Idempotency-Key, and what was answered. No primary key: rows are replaced in the transaction
-- that removes them, which DuckDB refuses of indexed columns, and one thread writes.

create table keyed_requests (
    owner text not null,
    key text not null,
    fingerprint text not null,
    process text not null,
    made text not null,
    status integer,
    body text,
    until timestamptz not null
);

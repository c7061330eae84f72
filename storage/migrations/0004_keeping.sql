-- What is kept for how long, what was deleted, and who did what. Rows of audit and receipts are never deleted.

create table retention (
    object text primary key,
    until timestamptz,
    changed_at timestamptz not null
);

create table receipts (
    id text primary key,
    owner text not null,
    kind text not null,
    object text not null,
    state text not null,
    document text not null,
    sha256 text,
    created_at timestamptz not null
);

create table audit (
    seq bigint primary key,
    moment timestamptz not null,
    who text not null,
    via text not null,
    act text not null,
    object text not null,
    outcome text not null,
    detail text not null,
    previous text not null,
    digest text not null
);

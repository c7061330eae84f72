-- Models that were trained here. The bundle's files are in the artifact store, under its digest.

create table models (
    id text primary key,
    owner text not null,
    name text not null,
    digest text not null,
    translator text not null,
    job text not null,
    datasets text not null,
    holds_cells boolean not null,
    created_at timestamptz not null,
    deleted_at timestamptz
);

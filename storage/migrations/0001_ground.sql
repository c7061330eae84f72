-- No index but the primary keys: DuckDB turns the update of an indexed column into delete and insert,
-- and these tables stay small.

create table datasets (
    id text primary key,
    owner text not null,
    name text not null,
    state text not null,
    digest text,
    modality text,
    cells bigint,
    features bigint,
    genome text,
    summary text not null,
    uri text,
    bytes bigint,
    origin text not null,
    stage text not null,
    done bigint not null,
    total bigint not null,
    failure text,
    created_at timestamptz not null,
    deleted_at timestamptz
);

create table jobs (
    id text primary key,
    kind text not null,
    state text not null,
    attempt integer not null,
    spec text not null,
    spec_digest text not null,
    cache_key text,
    owner text not null default 'local',
    title text not null,
    submitted_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null,
    heartbeat_at timestamptz,
    stage text not null,
    done bigint not null,
    total bigint not null,
    message text not null,
    failure text,
    result text,
    ray_submission text,
    cancel_requested boolean not null,
    last_event bigint not null
);

create table job_events (
    job text not null,
    attempt integer not null,
    seq bigint not null,
    moment timestamptz not null,
    kind text not null,
    from_state text,
    to_state text,
    detail text not null,
    primary key (job, seq)
);

create table artifacts (
    job text not null,
    attempt integer not null,
    name text not null,
    uri text not null,
    bytes bigint not null,
    sha256 text not null,
    media_type text not null,
    created_at timestamptz not null,
    primary key (job, attempt, name)
);

create table uploads (
    id text primary key,
    owner text not null,
    name text not null,
    size bigint,
    received bigint not null,
    sha256 text,
    state text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

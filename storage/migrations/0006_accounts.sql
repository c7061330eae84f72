-- Who may use this CrossView, how they prove it, and what they let each other see. Secrets are kept as hashes alone.

create table users (
    id text primary key,
    email text not null,
    name text not null,
    role text not null,
    state text not null,
    password text,
    way text not null,
    subject text not null,
    created_at timestamptz not null,
    seen_at timestamptz,
    password_at timestamptz
);

create table sessions (
    id text primary key,
    owner text not null,
    way text not null,
    address text not null,
    agent text not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    ended_at timestamptz
);

create table tokens (
    id text primary key,
    digest text not null,
    owner text not null,
    name text not null,
    scopes text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    used_at timestamptz,
    revoked_at timestamptz
);

create table links (
    id text primary key,
    kind text not null,
    email text not null,
    role text not null,
    owner text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);

create table tries (
    id text primary key,
    failures integer not null,
    last_at timestamptz not null,
    until timestamptz
);

create table shares (
    kind text not null,
    object text not null,
    owner text not null,
    reader text not null,
    created_at timestamptz not null,
    primary key (kind, object, reader)
);

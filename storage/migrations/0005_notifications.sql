-- What people are told, written with the change it tells of; and to whom each of it was sent.

create table notifications (
    id text primary key,
    owner text not null,
    event text not null,
    subject text not null,
    kind text not null,
    attempt integer not null,
    title text not null,
    failure text,
    moment timestamptz not null,
    read_at timestamptz,
    addressed boolean not null
);

create table deliveries (
    notification text not null,
    channel text not null,
    label text not null,
    state text not null,
    tries integer not null,
    due_at timestamptz not null,
    error text not null,
    sent_at timestamptz,
    primary key (notification, channel)
);

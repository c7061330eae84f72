-- What people put on their jobs and models: stars, labels, the bin, and models that are no longer offered.

create table marks (
    owner text not null,
    object text not null,
    starred boolean not null,
    retired boolean not null,
    bin_until timestamptz,
    primary key (owner, object)
);

create table labels (
    owner text not null,
    object text not null,
    label text not null,
    primary key (owner, object, label)
);

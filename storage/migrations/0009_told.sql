-- Where each user wants to be told: by e-mail to the account's address, and by webhooks of their own. A delivery whose
-- owner is empty goes to an address of the whole lab.

create table mailed (
    owner text primary key,
    since timestamptz not null
);

create table webhooks (
    id text primary key,
    owner text not null,
    name text not null,
    url text not null,
    secret text not null,
    created_at timestamptz not null
);

alter table deliveries add column owner text default '';

-- How jobs wait, how long they may take, and what of their attempts was tidied up.

alter table jobs add column priority text default 'normal';
alter table jobs add column expected_low double;
alter table jobs add column expected_high double;
alter table jobs add column time_limit_s double;
alter table jobs add column memory_step integer default 0;
alter table jobs add column logged integer default 0;
alter table jobs add column swept integer default 0;

-- What ended before is left as it lies.
update jobs set logged = attempt, swept = attempt where state in ('SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED');

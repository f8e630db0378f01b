alter table tasks add column state text not null default 'waiting' check (state in ('waiting', 'done', 'dead'));
create index tasks_by_state on tasks (state, id);

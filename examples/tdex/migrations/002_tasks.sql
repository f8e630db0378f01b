create table tasks (id bigint generated always as identity primary key, kind text not null, made timestamptz not null default now());
insert into tasks (kind) values ('upload_assets'), ('emit_metrics');

create table shards (name text primary key, kind text not null);
insert into shards values ('bootstrap', 'required'), ('runtime', 'required'), ('diagnostics', 'optional');

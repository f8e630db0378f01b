drop table shards;

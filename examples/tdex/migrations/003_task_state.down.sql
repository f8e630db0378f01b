alter table tasks drop column state;

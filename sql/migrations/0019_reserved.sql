-- Holds the place of another migration.
select;

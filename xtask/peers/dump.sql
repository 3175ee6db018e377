-- Something of every kind that a dump knows, without anything that only a superuser may restore.
DROP SCHEMA IF EXISTS peers_dump CASCADE;
CREATE SCHEMA peers_dump;
SET search_path = peers_dump;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE numbers START 100 INCREMENT 5;
CREATE TABLE parent (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL DEFAULT 'a ''quoted'' name',
  feeling mood,
  amount positive,
  made timestamptz DEFAULT '2000-01-01 00:00:00+00',
  raw bytea,
  tags text[],
  doc jsonb
);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, n int DEFAULT nextval('numbers'));
CREATE INDEX child_parent ON child (parent) WHERE n > 0;
CREATE TABLE measured (at date NOT NULL, value float8) PARTITION BY RANGE (at);
CREATE TABLE measured_2020 PARTITION OF measured FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE VIEW named AS SELECT name, feeling FROM parent WHERE amount IS NOT NULL;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS children FROM child;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * n $$;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN NEW.made := now(); RETURN NEW; END $body$;
CREATE TRIGGER stamped BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
CREATE POLICY positive_only ON parent USING (amount > 0);
COMMENT ON TABLE parent IS 'a comment with a \ backslash';
INSERT INTO parent (name, feeling, amount, raw, tags, doc)
SELECT 'name ' || n || E'\ttab\\ ü', (enum_range(NULL::mood))[1 + n % 3], n, decode(md5(n::text), 'hex'),
       ARRAY['a', 'b,c', NULL], jsonb_build_object('n', n)
FROM generate_series(1, 1000) AS n;
INSERT INTO child (id, parent) SELECT n, 1 + n % 1000 FROM generate_series(1, 3000) AS n;
INSERT INTO measured SELECT '2020-01-01'::date + n, n / 3.0 FROM generate_series(0, 300) AS n;
REFRESH MATERIALIZED VIEW counted;
SELECT lo_from_bytea(0, '\x00ff00ff');

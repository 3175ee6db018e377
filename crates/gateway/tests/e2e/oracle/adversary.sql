-- Objects of an adversary, or of a careless colleague: whatever can run code of a user's while looking like a read.
-- `tick()` writes a row; everything else leads there.
CREATE TABLE ticks (at timestamptz DEFAULT now(), who text);
CREATE SEQUENCE counter;
CREATE TABLE accounts (id int PRIMARY KEY, name text NOT NULL, balance numeric DEFAULT 0, data jsonb DEFAULT '{}', tags text[] DEFAULT '{}');
INSERT INTO accounts SELECT n, 'name ' || n, n * 10, '{"a": 1}', ARRAY['x'] FROM generate_series(1, 20) n;

CREATE FUNCTION tick() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ticks (who) VALUES ('tick'); RETURN 1; END $$;
CREATE FUNCTION tick_stable(x int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM nextval('counter'); RETURN x; END $$;
CREATE FUNCTION tick_immutable(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('counter'); PERFORM tick(); RETURN x; END $$;
CREATE FUNCTION tick_text(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN x; END $$;
CREATE FUNCTION tick_bool(x int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN true; END $$;
CREATE FUNCTION ticks_as_rows() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN NEXT 1; END $$;
CREATE FUNCTION tick_definer() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN tick(); END $$;
CREATE PROCEDURE tick_procedure() LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); END $$;
CREATE FUNCTION settle() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN set_config('search_path', 'elsewhere', false); END $$;
CREATE FUNCTION locked() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN pg_try_advisory_lock(7); END $$;

-- Names of the system's own: an overload that fits better, and one in front of it on the path.
CREATE FUNCTION public.lower(x int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN x::text; END $$;
CREATE FUNCTION public.abs(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN x; END $$;
CREATE FUNCTION public.length(x accounts) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN 1; END $$;
CREATE FUNCTION public.format(x int, y int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN ''; END $$;
CREATE FUNCTION public.coalesce_all(VARIADIC x int[]) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN 1; END $$;
-- `a.total` is a column, or this.
CREATE FUNCTION total(a accounts) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN 1; END $$;
CREATE FUNCTION upper(a accounts) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN ''; END $$;

-- Operators, casts, types, domains.
CREATE OPERATOR ### (FUNCTION = tick_immutable, RIGHTARG = int);
CREATE FUNCTION sum_ticking(a text, b int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN tick() + b; END $$;
CREATE OPERATOR + (FUNCTION = sum_ticking, LEFTARG = text, RIGHTARG = int);
CREATE FUNCTION equal_ticking(a text, b int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN tick() = b; END $$;
CREATE OPERATOR = (FUNCTION = equal_ticking, LEFTARG = text, RIGHTARG = int);
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION pair_to_int(p pair) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN tick(); END $$;
CREATE CAST (pair AS int) WITH FUNCTION pair_to_int(pair) AS IMPLICIT;
CREATE FUNCTION text_to_pair(t text) RETURNS pair LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN ROW(1, t)::pair; END $$;
CREATE CAST (text AS pair) WITH FUNCTION text_to_pair(text);
CREATE FUNCTION int_to_colour(x int) RETURNS colour LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN 'red'; END $$;
CREATE CAST (int AS colour) WITH FUNCTION int_to_colour(int) AS IMPLICIT;
CREATE DOMAIN checked AS int CHECK (tick_bool(VALUE));
CREATE DOMAIN checked_text AS text DEFAULT tick_text('x') CHECK (tick_text(VALUE) IS NOT NULL);
CREATE FUNCTION tick_step(state int, x int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN state + tick(); END $$;
CREATE AGGREGATE tick_sum(int) (SFUNC = tick_step, STYPE = int, INITCOND = '0');
CREATE FUNCTION tick_compare(a pair, b pair) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN 0; END $$;
CREATE FUNCTION tick_less(a pair, b pair) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN false; END $$;
CREATE OPERATOR <<< (FUNCTION = tick_less, LEFTARG = pair, RIGHTARG = pair);
CREATE OPERATOR CLASS pair_ticking FOR TYPE pair USING btree AS OPERATOR 1 <<<, FUNCTION 1 tick_compare(pair, pair);

-- Relations that are not what their names say.
CREATE VIEW quiet AS SELECT id, name FROM accounts;
CREATE VIEW trap AS SELECT id, tick() AS ticked FROM accounts;
CREATE VIEW trap_over_trap AS SELECT * FROM trap;
CREATE VIEW trap_in_where AS SELECT id FROM accounts WHERE tick_bool(id);
CREATE MATERIALIZED VIEW stored AS SELECT 1 AS one;
CREATE TABLE guarded (id int, secret text);
INSERT INTO guarded SELECT n, 's' FROM generate_series(1, 5) n;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY ticking ON guarded USING (tick_bool(id));
CREATE TABLE computed (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, other int DEFAULT tick());
CREATE TABLE indexed (id int);
CREATE INDEX ON indexed (tick_immutable(id));
CREATE TABLE parted (id int, part int) PARTITION BY LIST (part);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1), (2);
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, s serial, x int);
CREATE TABLE triggered (id int);
CREATE FUNCTION on_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM tick(); RETURN NEW; END $$;
CREATE TRIGGER ticking BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION on_change();
CREATE FUNCTION makes_a_table() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS made_' || NEW.id || '()'; RETURN NEW; END $$;
CREATE TABLE schematic (id int);
CREATE TRIGGER making AFTER INSERT ON schematic FOR EACH ROW EXECUTE FUNCTION makes_a_table();
CREATE TABLE ruled (id int);
CREATE RULE ruling AS ON INSERT TO ruled DO ALSO SELECT tick();
CREATE VIEW writable AS SELECT id FROM triggered;
CREATE TABLE defaulted (id int, at checked_text);
CREATE TABLE paired (p pair, c colour DEFAULT 'red', d checked);
ALTER TABLE paired DISABLE TRIGGER ALL;
INSERT INTO paired (p) VALUES (ROW(1, 'x')), (ROW(2, 'y'));
SELECT lo_create(4711);

-- A table and a view in front of the system's own, for whoever puts the schema first.
CREATE SCHEMA shadow;
CREATE VIEW shadow.pg_class AS SELECT tick() AS relname;
CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM public.tick(); RETURN clock_timestamp(); END $$;
TRUNCATE ticks;
ANALYZE;

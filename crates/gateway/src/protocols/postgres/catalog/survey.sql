-- What one statement's names refer to, asked of the server that resolves them. $1 is a JSON object of the names as written:
--   path       the schemas to look in; absent: those of the session that is asked
--   relations  [{s, n, e}]  schema or '', name, events as bits of tgtype, and 64 where expressions may be evaluated
--   functions, operators  [{s, n, b}]  b: a built-in has this name, so that others only count where they may match better
--   types      [{s, n}],   attributes [name],   ddl  whether event triggers fire
--
-- It runs in sessions whose search path belongs to somebody else: functions are qualified, and operators only ever have
-- operands for which pg_catalog has an exact match, which is found before anything of the user's. Nothing here fails on
-- any input: an error would end the transaction of the session that is asked. Objects below 16384 are the system's own.
WITH RECURSIVE
asked AS MATERIALIZED (SELECT $1::pg_catalog.jsonb AS j),
path AS MATERIALIZED (
  SELECT s.ord, n.oid AS nsp, n.nspname
  FROM asked
  CROSS JOIN LATERAL (
    SELECT x.name, x.ord FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS x(name, ord)
    WHERE (asked.j -> 'path') IS NULL
    UNION ALL
    SELECT y.name::pg_catalog.name, y.ord
    FROM pg_catalog.jsonb_array_elements_text(asked.j -> 'path') WITH ORDINALITY AS y(name, ord)
  ) AS s
  JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.name
),
roots AS MATERIALIZED (
  SELECT r.value ->> 's' AS s, r.value ->> 'n' AS n, (r.value ->> 'e')::pg_catalog.int4 AS e,
    CASE WHEN (r.value ->> 's') = '' THEN (
      SELECT c.oid FROM pg_catalog.pg_class AS c JOIN path AS p ON p.nsp = c.relnamespace
      WHERE c.relname = (r.value ->> 'n')::pg_catalog.name ORDER BY p.ord LIMIT '1'::pg_catalog.int8)
    WHEN (r.value ->> 's') = 'pg_temp' THEN (
      SELECT c.oid FROM pg_catalog.pg_class AS c
      WHERE c.relname = (r.value ->> 'n')::pg_catalog.name AND c.relnamespace = pg_catalog.pg_my_temp_schema())
    ELSE (
      SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relname = (r.value ->> 'n')::pg_catalog.name AND n.nspname = (r.value ->> 's')::pg_catalog.name)
    END AS oid
  FROM asked CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(asked.j -> 'relations') AS r(value)
),
-- relations behind views, partitions and children, and those that foreign keys cascade to
reach(oid, e) AS (
  SELECT r.oid, r.e FROM roots AS r WHERE r.oid >= '16384'::pg_catalog.oid
  UNION
  SELECT x.oid, x.e FROM reach AS r CROSS JOIN LATERAL (
    SELECT d.refobjid AS oid, CASE WHEN c.relkind = 'v' THEN r.e ELSE 0 END AS e
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = c.oid AND w.ev_type = '1'
    JOIN pg_catalog.pg_depend AS d ON d.classid = '2618'::pg_catalog.oid AND d.objid = w.oid
      AND d.refclassid = '1259'::pg_catalog.oid AND d.refobjid <> c.oid
    WHERE c.oid = r.oid AND (c.relkind = 'v' OR (c.relkind = 'm' AND r.e <> 0))
    UNION ALL
    SELECT i.inhrelid, CASE WHEN (r.e & 16) <> 0 THEN r.e | 12 ELSE r.e END
    FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid
    UNION ALL
    SELECT k.conrelid, CASE WHEN (r.e & 32) <> 0 THEN 32 WHEN (r.e & 8) <> 0 AND k.confdeltype = 'c' THEN 8 ELSE 16 END
    FROM pg_catalog.pg_constraint AS k
    WHERE k.contype = 'f' AND k.confrelid = r.oid AND (
      (r.e & 32) <> 0 OR ((r.e & 8) <> 0 AND k.confdeltype IN ('c', 'n', 'd'))
      OR ((r.e & 16) <> 0 AND k.confupdtype IN ('c', 'n', 'd')))
  ) AS x WHERE x.oid >= '16384'::pg_catalog.oid
),
-- what hangs on them and is evaluated: (class, object) as pg_depend has it
parts AS MATERIALIZED (
  SELECT DISTINCT r.oid AS rel, '2618'::pg_catalog.oid AS classid, w.oid AS objid
  FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = r.oid
  WHERE w.ev_type = '1' AND (c.relkind = 'v' OR (c.relkind = 'm' AND r.e <> 0))
  UNION
  SELECT r.oid, '3256'::pg_catalog.oid, p.oid
  FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid
  WHERE c.relrowsecurity
  UNION
  SELECT r.oid, '2604'::pg_catalog.oid, a.oid
  FROM reach AS r JOIN pg_catalog.pg_attrdef AS a ON a.adrelid = r.oid WHERE (r.e & 84) <> 0
  UNION
  SELECT r.oid, '2606'::pg_catalog.oid, k.oid
  FROM reach AS r JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid WHERE k.contype = 'c' AND (r.e & 84) <> 0
  UNION
  SELECT r.oid, '1259'::pg_catalog.oid, i.indexrelid
  FROM reach AS r JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
  WHERE (r.e & 84) <> 0 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
),
-- types that values of the statement may have: named, or of the columns it reaches
typed(oid, named) AS (
  SELECT COALESCE(
    CASE WHEN (t.value ->> 's') = '' THEN (
      SELECT y.oid FROM pg_catalog.pg_type AS y JOIN path AS p ON p.nsp = y.typnamespace
      WHERE y.typname = (t.value ->> 'n')::pg_catalog.name ORDER BY p.ord LIMIT '1'::pg_catalog.int8)
    WHEN (t.value ->> 's') = 'pg_temp' THEN (
      SELECT y.oid FROM pg_catalog.pg_type AS y
      WHERE y.typname = (t.value ->> 'n')::pg_catalog.name AND y.typnamespace = pg_catalog.pg_my_temp_schema())
    ELSE (
      SELECT y.oid FROM pg_catalog.pg_type AS y JOIN pg_catalog.pg_namespace AS n ON n.oid = y.typnamespace
      WHERE y.typname = (t.value ->> 'n')::pg_catalog.name AND n.nspname = (t.value ->> 's')::pg_catalog.name)
    END, '0'::pg_catalog.oid), true
  FROM asked CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(asked.j -> 'types') AS t(value)
  UNION
  SELECT a.atttypid, r.e <> 0 FROM reach AS r JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid
  WHERE a.attnum > '0'::pg_catalog.int2 AND NOT a.attisdropped AND a.atttypid >= '16384'::pg_catalog.oid
  UNION
  SELECT z.oid, t.named FROM typed AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid CROSS JOIN LATERAL (
    SELECT y.typelem AS oid UNION ALL SELECT y.typbasetype
    UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range AS g WHERE g.rngtypid = y.oid
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
      WHERE a.attrelid = y.typrelid AND a.attnum > '0'::pg_catalog.int2 AND NOT a.attisdropped
  ) AS z WHERE z.oid >= '16384'::pg_catalog.oid
),
checks AS MATERIALIZED (
  SELECT k.oid, k.contypid FROM pg_catalog.pg_constraint AS k
  WHERE k.contypid <> '0'::pg_catalog.oid AND EXISTS (SELECT FROM typed AS t WHERE t.oid = k.contypid AND t.named)
),
evaluated AS MATERIALIZED (
  SELECT p.classid, p.objid FROM parts AS p UNION SELECT '2606'::pg_catalog.oid, k.oid FROM checks AS k
),
-- functions of the user's with what decides whether they can be meant
functions AS MATERIALIZED (
  SELECT p.oid, p.proname, p.pronamespace, p.pronargs, p.pronargdefaults, p.prolang, p.xmin::pg_catalog.text AS version,
    'function ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.nspname::pg_catalog.text) OPERATOR(pg_catalog.||) '.'
      OPERATOR(pg_catalog.||) pg_catalog.quote_ident(p.proname::pg_catalog.text) OPERATOR(pg_catalog.||) '('
      OPERATOR(pg_catalog.||) pg_catalog.oidvectortypes(p.proargtypes) OPERATOR(pg_catalog.||) ')' AS identity,
    NOT EXISTS (
      SELECT FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) AS a(oid)
      JOIN pg_catalog.pg_type AS y ON y.oid = a.oid
      WHERE a.oid >= '16384'::pg_catalog.oid AND NOT EXISTS (SELECT FROM typed AS t WHERE t.oid = a.oid)
        AND (y.typcategory <> 'S' OR EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = '1255'::pg_catalog.oid AND d.objid = p.oid AND d.deptype = 'e'))
    ) AS fits
  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  WHERE p.oid >= '16384'::pg_catalog.oid
),
called AS MATERIALIZED (
  SELECT f.value ->> 's' AS s, f.value ->> 'n' AS n, p.oid, p.identity, p.version
  FROM asked CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(asked.j -> 'functions') AS f(value)
  JOIN functions AS p ON p.proname = (f.value ->> 'n')::pg_catalog.name
  WHERE ((f.value ->> 'b')::pg_catalog.bool IS NOT TRUE OR p.fits) AND CASE
    WHEN (f.value ->> 's') = '' THEN p.pronamespace IN (SELECT x.nsp FROM path AS x)
    WHEN (f.value ->> 's') = 'pg_temp' THEN p.pronamespace = pg_catalog.pg_my_temp_schema()
    ELSE p.pronamespace IN (SELECT n.oid FROM pg_catalog.pg_namespace AS n
      WHERE n.nspname = (f.value ->> 's')::pg_catalog.name) END
  UNION
  SELECT '.', f.value, p.oid, p.identity, p.version
  FROM asked CROSS JOIN LATERAL pg_catalog.jsonb_array_elements_text(asked.j -> 'attributes') AS f(value)
  JOIN functions AS p ON p.proname = f.value::pg_catalog.name
  WHERE p.pronargs >= '1'::pg_catalog.int2 AND p.pronargs - p.pronargdefaults <= 1
    AND p.pronamespace IN (SELECT x.nsp FROM path AS x)
),
operators AS MATERIALIZED (
  SELECT o.value ->> 's' AS s, o.value ->> 'n' AS n, p.oid, p.xmin::pg_catalog.text AS version,
    'operator ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(m.nspname::pg_catalog.text) OPERATOR(pg_catalog.||) '.'
      OPERATOR(pg_catalog.||) p.oprname::pg_catalog.text OPERATOR(pg_catalog.||) '('
      OPERATOR(pg_catalog.||) CASE WHEN p.oprleft = '0'::pg_catalog.oid THEN 'none'
        ELSE pg_catalog.format_type(p.oprleft, NULL) END OPERATOR(pg_catalog.||) ', '
      OPERATOR(pg_catalog.||) pg_catalog.format_type(p.oprright, NULL) OPERATOR(pg_catalog.||) ')' AS identity
  FROM asked CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(asked.j -> 'operators') AS o(value)
  JOIN pg_catalog.pg_operator AS p ON p.oprname = (o.value ->> 'n')::pg_catalog.name
  JOIN pg_catalog.pg_namespace AS m ON m.oid = p.oprnamespace
  WHERE p.oid >= '16384'::pg_catalog.oid
    AND CASE WHEN (o.value ->> 's') = '' THEN p.oprnamespace IN (SELECT x.nsp FROM path AS x)
      ELSE m.nspname = (o.value ->> 's')::pg_catalog.name END
    AND ((o.value ->> 'b')::pg_catalog.bool IS NOT TRUE OR NOT EXISTS (
      SELECT FROM (SELECT p.oprleft AS oid UNION ALL SELECT p.oprright) AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.oid
      WHERE a.oid >= '16384'::pg_catalog.oid AND NOT EXISTS (SELECT FROM typed AS t WHERE t.oid = a.oid)
        AND (y.typcategory <> 'S' OR EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = '2617'::pg_catalog.oid AND d.objid = p.oid AND d.deptype = 'e'))))
),
-- the languages C and internal are the superuser's alone
code AS MATERIALIZED (
  SELECT c.identity, c.version FROM called AS c
  UNION SELECT o.identity, o.version FROM operators AS o
  UNION
  SELECT f.identity, f.version FROM evaluated AS e
  JOIN pg_catalog.pg_depend AS d ON d.classid = e.classid AND d.objid = e.objid AND d.refclassid = '1255'::pg_catalog.oid
  JOIN functions AS f ON f.oid = d.refobjid
  UNION
  SELECT 'operator ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(m.nspname::pg_catalog.text)
    OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) p.oprname::pg_catalog.text OPERATOR(pg_catalog.||) '('
    OPERATOR(pg_catalog.||) CASE WHEN p.oprleft = '0'::pg_catalog.oid THEN 'none'
      ELSE pg_catalog.format_type(p.oprleft, NULL) END OPERATOR(pg_catalog.||) ', '
    OPERATOR(pg_catalog.||) pg_catalog.format_type(p.oprright, NULL) OPERATOR(pg_catalog.||) ')',
    p.xmin::pg_catalog.text
  FROM evaluated AS e
  JOIN pg_catalog.pg_depend AS d ON d.classid = e.classid AND d.objid = e.objid AND d.refclassid = '2617'::pg_catalog.oid
  JOIN pg_catalog.pg_operator AS p ON p.oid = d.refobjid JOIN pg_catalog.pg_namespace AS m ON m.oid = p.oprnamespace
  WHERE p.oid >= '16384'::pg_catalog.oid
  UNION
  SELECT 'trigger ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.nspname::pg_catalog.text)
    OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname::pg_catalog.text)
    OPERATOR(pg_catalog.||) ': ' OPERATOR(pg_catalog.||) f.identity,
    pg_catalog.concat(g.xmin::pg_catalog.text, ' ', f.version)
  FROM reach AS r JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = r.oid
  JOIN functions AS f ON f.oid = g.tgfoid
  JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND (g.tgtype::pg_catalog.int4 & r.e & 60) <> 0
  UNION
  SELECT 'rule ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.nspname::pg_catalog.text)
    OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname::pg_catalog.text)
    OPERATOR(pg_catalog.||) ': ' OPERATOR(pg_catalog.||) w.rulename::pg_catalog.text, w.xmin::pg_catalog.text
  FROM reach AS r JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = r.oid
  JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE w.ev_type <> '1' AND w.ev_enabled <> 'D' AND (r.e & 28) <> 0
  UNION
  SELECT 'foreign table ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.nspname::pg_catalog.text)
    OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname::pg_catalog.text),
    pg_catalog.concat(t.ftserver::pg_catalog.text, ' ', t.ftoptions::pg_catalog.text)
  FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_foreign_table AS t ON t.ftrelid = c.oid
  WHERE c.relkind = 'f'
  UNION
  SELECT 'cast ' OPERATOR(pg_catalog.||) pg_catalog.format_type(k.castsource, NULL) OPERATOR(pg_catalog.||) ' to '
    OPERATOR(pg_catalog.||) pg_catalog.format_type(k.casttarget, NULL) OPERATOR(pg_catalog.||) ': '
    OPERATOR(pg_catalog.||) f.identity, f.version
  FROM typed AS t JOIN pg_catalog.pg_cast AS k ON k.castsource = t.oid OR k.casttarget = t.oid
  JOIN functions AS f ON f.oid = k.castfunc
  WHERE f.prolang NOT IN ('12'::pg_catalog.oid, '13'::pg_catalog.oid)
  UNION
  SELECT 'type ' OPERATOR(pg_catalog.||) pg_catalog.format_type(y.oid, NULL) OPERATOR(pg_catalog.||) ': '
    OPERATOR(pg_catalog.||) f.identity, f.version
  FROM typed AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid
  LEFT JOIN pg_catalog.pg_range AS g ON g.rngtypid = y.oid
  JOIN functions AS f ON f.oid IN (y.typinput::pg_catalog.oid, y.typoutput::pg_catalog.oid,
    y.typreceive::pg_catalog.oid, y.typsend::pg_catalog.oid, y.typmodin::pg_catalog.oid, y.typmodout::pg_catalog.oid,
    g.rngcanonical::pg_catalog.oid, g.rngsubdiff::pg_catalog.oid)
  WHERE f.prolang NOT IN ('12'::pg_catalog.oid, '13'::pg_catalog.oid)
  UNION
  SELECT 'event trigger ' OPERATOR(pg_catalog.||) g.evtname::pg_catalog.text OPERATOR(pg_catalog.||) ': '
    OPERATOR(pg_catalog.||) f.identity, pg_catalog.concat(g.xmin::pg_catalog.text, ' ', f.version)
  FROM asked JOIN pg_catalog.pg_event_trigger AS g ON (asked.j ->> 'ddl')::pg_catalog.bool
  JOIN functions AS f ON f.oid = g.evtfoid WHERE g.evtenabled <> 'D'
),
-- expressions in words, for what they call of the built-in
texts AS MATERIALIZED (
  SELECT DISTINCT pg_catalog.pg_get_viewdef(c.oid) AS text
  FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
  WHERE c.relkind = 'v' OR (c.relkind = 'm' AND r.e <> 0)
  UNION
  SELECT pg_catalog.concat('SELECT ', pg_catalog.pg_get_expr(a.adbin, a.adrelid))
  FROM parts AS p JOIN pg_catalog.pg_attrdef AS a ON p.classid = '2604'::pg_catalog.oid AND a.oid = p.objid
  UNION
  SELECT pg_catalog.concat('SELECT ', pg_catalog.pg_get_expr(k.conbin, k.conrelid))
  FROM evaluated AS e JOIN pg_catalog.pg_constraint AS k ON e.classid = '2606'::pg_catalog.oid AND k.oid = e.objid
  UNION
  SELECT pg_catalog.concat('SELECT ', pg_catalog.pg_get_expr(x.node, y.polrelid))
  FROM parts AS p JOIN pg_catalog.pg_policy AS y ON p.classid = '3256'::pg_catalog.oid AND y.oid = p.objid
  CROSS JOIN LATERAL (SELECT y.polqual AS node UNION ALL SELECT y.polwithcheck) AS x WHERE x.node IS NOT NULL
  UNION
  SELECT pg_catalog.concat('SELECT ', pg_catalog.pg_get_expr(x.node, i.indrelid))
  FROM parts AS p JOIN pg_catalog.pg_index AS i ON p.classid = '1259'::pg_catalog.oid AND i.indexrelid = p.objid
  CROSS JOIN LATERAL (SELECT i.indexprs AS node UNION ALL SELECT i.indpred) AS x WHERE x.node IS NOT NULL
),
reached AS MATERIALIZED (
  SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.bit_or(r.e) AS e,
    pg_catalog.concat_ws(' ', c.relkind::pg_catalog.text, c.relowner::pg_catalog.text, c.relrowsecurity::pg_catalog.text,
      c.relforcerowsecurity::pg_catalog.text, (
        SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', a.attnum::pg_catalog.text, a.xmin::pg_catalog.text), ','
          ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > '0'::pg_catalog.int2)) AS version
  FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  GROUP BY c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity
)
SELECT pg_catalog.json_build_object(
  'path', (SELECT pg_catalog.json_agg(p.nspname ORDER BY p.ord) FROM path AS p),
  'roots', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('s', r.s, 'n', r.n, 'e', r.e, 'oid', r.oid::pg_catalog.text,
      'schema', n.nspname, 'name', c.relname, 'kind', c.relkind::pg_catalog.text, 'columns', CASE WHEN (r.e & 4) <> 0 THEN (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, COALESCE(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> '')
          ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > '0'::pg_catalog.int2 AND NOT a.attisdropped) END))
    FROM roots AS r LEFT JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace),
  'reached', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('oid', x.oid::pg_catalog.text, 'schema', x.nspname,
      'name', x.relname, 'kind', x.relkind::pg_catalog.text, 'e', x.e, 'version', x.version) ORDER BY x.oid) FROM reached AS x),
  'types', (SELECT pg_catalog.bool_and(t.oid <> '0'::pg_catalog.oid) FROM typed AS t),
  'called', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('s', c.s, 'n', c.n)) FROM called AS c),
  'operators', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('s', o.s, 'n', o.n)) FROM operators AS o),
  'code', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(c.identity, c.version)
      ORDER BY c.identity COLLATE pg_catalog."C", c.version COLLATE pg_catalog."C") FROM code AS c),
  'texts', (SELECT pg_catalog.json_agg(t.text ORDER BY t.text COLLATE pg_catalog."C") FROM texts AS t),
  'parts', (SELECT pg_catalog.count(*) FROM parts)
)::pg_catalog.text

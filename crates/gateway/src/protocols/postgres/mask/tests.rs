//! What can be proved, what cannot, and what is shown.

use bytes::BytesMut;
use countersign_core::policy::Mask;

use super::catalog::Catalog;
use super::{Judged, Key, judge, names};
use crate::protocols::postgres::describe::{NoSession, describe};
use crate::protocols::postgres::wire::{Format, backend};

fn catalog() -> Catalog {
    let hash = Some(Mask::Hash);
    Catalog::default()
        .with_table("customers", 1, &[("id", None), ("city", None), ("email", hash), ("ssn", Some(Mask::Drop))])
        .with_table("public.customers", 1, &[("id", None), ("city", None), ("email", hash), ("ssn", Some(Mask::Drop))])
        .with_table("orders", 2, &[("id", None), ("customer_id", None), ("email", None), ("item", None)])
        .with_view("contacts")
}

/// The catalog as the upstream would tell it of the names in a statement.
fn judged(sql: &str) -> Result<Judged, String> {
    let description = describe(sql, &NoSession);
    let names = names(sql, &description, description.facts.class).map_err(|refusal| refusal.message)?;
    let catalog = catalog().only(&names);
    judge(sql, &description, &catalog).map_err(|refusal| refusal.message)
}

#[test]
fn plain_outputs_are_masked() {
    for sql in [
        "SELECT email FROM customers",
        "SELECT * FROM customers",
        "TABLE customers",
        "SELECT c.email AS contact, c.ssn FROM public.customers AS c WHERE id = 3 ORDER BY city",
        "SELECT customers.* FROM customers JOIN orders ON orders.customer_id = customers.id",
        "SELECT s.contact FROM (SELECT email AS contact, id FROM customers) s WHERE s.id > 1 ORDER BY 1 + 1",
        "WITH c AS (SELECT * FROM customers) SELECT email, upper(city) FROM c ORDER BY id LIMIT 3",
        "SELECT c.email, o.item FROM customers c LEFT JOIN orders o USING (id)",
        "SELECT email FROM customers c WHERE EXISTS (SELECT * FROM orders o WHERE o.customer_id = c.id)",
        "SELECT email, (SELECT count(*) FROM orders o WHERE o.customer_id = customers.id) FROM customers",
        "SELECT email FROM customers, generate_series(1, 2) AS g WHERE g > 1",
        "SELECT email, id FROM customers ORDER BY 2",
        "SELECT x.email FROM orders o, LATERAL (SELECT email FROM customers c WHERE c.id = o.customer_id) x",
        "SELECT id, email, rank() OVER (PARTITION BY city ORDER BY id) FROM customers",
    ] {
        match judged(sql) {
            Ok(Judged::Masked(_)) => {}
            other => unreachable!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn what_uses_no_masked_value_passes() {
    for sql in [
        "SELECT count(*) FROM customers",
        "SELECT city, count(*) FROM customers GROUP BY city HAVING count(*) > 1",
        "SELECT DISTINCT city FROM customers",
        "SELECT city FROM customers UNION SELECT item FROM orders",
        "UPDATE customers SET city = 'x', email = 'y' WHERE id = 3",
        "UPDATE customers SET city = 'x' WHERE id = 3 RETURNING id, city",
        "INSERT INTO customers (id, email) VALUES (9, 'z') RETURNING id",
        "DELETE FROM customers WHERE id = 3",
        "SELECT id FROM customers WHERE city LIKE 'A%'",
        "SELECT o.email, upper(o.email) FROM orders o JOIN customers c ON c.id = o.customer_id",
        "SELECT email FROM orders WHERE customer_id IN (SELECT id FROM customers)",
    ] {
        assert!(judged(sql).is_ok(), "{sql}: {:?}", judged(sql));
    }
    for sql in ["SELECT upper(email) FROM orders", "SELECT 1", "BEGIN", "SET work_mem = 4", "SHOW search_path"] {
        assert!(matches!(judged(sql), Ok(Judged::Untouched)), "{sql}: {:?}", judged(sql));
    }
}

/// Every way that was thought of to get at a masked value.
#[test]
fn everything_else_is_refused() {
    for sql in BYPASSES {
        assert!(judged(sql).is_err(), "{sql}");
    }
}

pub(super) const BYPASSES: &[&str] = &[
    "SELECT id FROM customers WHERE email LIKE 'a%'",
    "SELECT id FROM customers WHERE customers.email = 'ada@example.org'",
    "SELECT id FROM public.customers WHERE public.customers.email > 'a'",
    "SELECT upper(email) FROM customers",
    "SELECT email || '' FROM customers",
    "SELECT email::bytea FROM customers",
    "SELECT CAST(email AS varchar) FROM customers",
    "SELECT (email) COLLATE \"C\" FROM customers",
    "SELECT COALESCE(email, '') FROM customers",
    "SELECT CASE WHEN email > 'm' THEN 1 ELSE 0 END FROM customers",
    "SELECT min(email) FROM customers",
    "SELECT count(DISTINCT email) FROM customers",
    "SELECT count(email) FILTER (WHERE email > 'a') FROM customers",
    "SELECT count(*) FILTER (WHERE ssn = '1') FROM customers",
    "SELECT string_agg(city, ',' ORDER BY email) FROM customers",
    "SELECT DISTINCT email FROM customers",
    "SELECT DISTINCT ON (email) id FROM customers",
    "SELECT id FROM customers ORDER BY email",
    "SELECT email AS e FROM customers ORDER BY e",
    "SELECT email FROM customers ORDER BY 1",
    "SELECT * FROM customers ORDER BY 3",
    "SELECT city FROM customers GROUP BY city, email",
    "SELECT count(*) FROM customers GROUP BY ROLLUP (city, ssn)",
    "SELECT city FROM customers GROUP BY city HAVING max(email) > 'm'",
    "SELECT rank() OVER (ORDER BY email) FROM customers",
    "SELECT id FROM customers WINDOW w AS (PARTITION BY email)",
    "SELECT email FROM customers UNION ALL SELECT 'x'",
    "SELECT id FROM orders UNION SELECT ssn::int FROM customers",
    "SELECT email FROM customers EXCEPT SELECT 'x'",
    "SELECT customers FROM customers",
    "SELECT c FROM customers c",
    "SELECT c::text FROM customers c",
    "SELECT (c).email FROM customers c",
    "SELECT (c.*)::text FROM customers c",
    "SELECT row(c.*) FROM customers c",
    "SELECT row_to_json(c) FROM customers c",
    "SELECT to_jsonb(customers.*) FROM customers",
    "SELECT c.row_to_json FROM customers c",
    "SELECT email(c) FROM customers c",
    "SELECT count(c) FROM customers c",
    "SELECT array_agg(c) FROM customers c",
    "SELECT c IS NULL FROM customers c",
    "SELECT (SELECT email FROM customers LIMIT 1)",
    "SELECT id FROM orders WHERE item IN (SELECT email FROM customers)",
    "SELECT ARRAY(SELECT email FROM customers)",
    "SELECT 'x' = ANY (SELECT email FROM customers)",
    "SELECT EXISTS (SELECT 1 FROM customers WHERE email LIKE 'a%')",
    "SELECT s.e FROM (SELECT email AS e FROM customers) s WHERE s.e > 'a'",
    "SELECT upper(s.e) FROM (SELECT email AS e FROM customers) s",
    "SELECT e FROM (SELECT email FROM customers) s(e)",
    "SELECT c.e FROM customers AS c(i, t, e, s)",
    "WITH c(e) AS (SELECT email FROM customers) SELECT upper(e) FROM c",
    "WITH c AS (SELECT email FROM customers) SELECT upper(email) FROM c",
    "WITH c AS (SELECT * FROM customers), customers AS (SELECT 1 AS email) SELECT upper(c.email) FROM c",
    "WITH RECURSIVE c AS (SELECT email FROM customers UNION ALL SELECT email FROM c) SELECT * FROM c",
    "WITH x AS (DELETE FROM customers RETURNING email) SELECT * FROM x",
    "SELECT o.id FROM orders o JOIN customers c ON c.email = o.email",
    "SELECT o.id FROM orders o JOIN customers c USING (email)",
    "SELECT * FROM orders NATURAL JOIN customers",
    "SELECT j.email FROM (customers c JOIN orders o ON true) AS j",
    "SELECT x.v FROM customers c, LATERAL (SELECT upper(c.email) AS v) x",
    "SELECT x.v FROM customers c, LATERAL (VALUES (c.email)) AS x(v)",
    "SELECT f FROM customers c, LATERAL unnest(ARRAY[c.email]) AS f",
    "SELECT f FROM customers c, regexp_split_to_table(c.email, '') AS f",
    "SELECT * FROM customers TABLESAMPLE system (50)",
    "SELECT id FROM customers LIMIT (SELECT length(email) FROM customers LIMIT 1)",
    "SELECT generate_series(1, length(email)) FROM customers",
    "SELECT json_build_object('e', email) FROM customers",
    "SELECT JSON_OBJECT('e': email) FROM customers",
    "SELECT xmlforest(email) FROM customers",
    "SELECT query_to_xml('select email from customers', true, true, '')",
    "SELECT * FROM contacts",
    "SELECT e FROM contacts",
    "COPY customers TO STDOUT",
    "COPY (SELECT email FROM customers) TO STDOUT",
    "EXPLAIN ANALYZE SELECT email FROM customers",
    "EXPLAIN SELECT id FROM customers WHERE email = 'x'",
    "DECLARE c CURSOR FOR SELECT email FROM customers",
    "PREPARE p AS SELECT email FROM customers",
    "CREATE TABLE copy AS SELECT * FROM customers",
    "CREATE VIEW v AS SELECT email AS e FROM customers",
    "SELECT email INTO copy FROM customers",
    "INSERT INTO orders (id, item) SELECT id, email FROM customers",
    "INSERT INTO customers (id) VALUES (1) ON CONFLICT (email) DO NOTHING",
    "INSERT INTO customers (id) VALUES (1) RETURNING *",
    "UPDATE customers SET city = email",
    "UPDATE customers SET city = 'x' WHERE email LIKE 'a%'",
    "UPDATE customers SET city = 'x' RETURNING email",
    "UPDATE orders SET item = c.email FROM customers c WHERE c.id = customer_id",
    "DELETE FROM customers RETURNING *",
    "DELETE FROM orders USING customers c WHERE c.email = orders.email",
    "MERGE INTO orders USING customers c ON c.id = orders.id WHEN MATCHED THEN UPDATE SET item = c.email",
    "SELECT 1; SELECT email FROM customers",
    "SET search_path = other; SELECT * FROM orders",
    "DROP TABLE orders; SELECT * FROM orders",
    "ROLLBACK; SELECT * FROM orders",
    "DO $$ BEGIN PERFORM email FROM customers; END $$",
    "SELECT * FROM nowhere",
];

fn column(table: u32, attribute: i16, type_oid: u32, type_modifier: i32, format: Format) -> backend::Column {
    backend::Column { name: "c".to_owned(), table, attribute, type_oid, type_size: -1, type_modifier, format }
}

/// The plan of `SELECT email, city, ssn`.
fn plan() -> super::Plan {
    match judged("SELECT email, city, ssn FROM customers") {
        Ok(Judged::Masked(plan)) => plan,
        other => unreachable!("{other:?}"),
    }
}

fn described(email: backend::Column) -> [backend::Column; 3] {
    [email, column(1, 2, 25, -1, Format::Text), column(1, 4, 25, -1, Format::Text)]
}

#[test]
fn the_servers_description_has_to_agree() {
    let email = column(1, 3, 25, -1, Format::Text);
    assert!(plan().columns(&described(email.clone())).is_ok());
    for wrong in [column(0, 0, 25, -1, Format::Text), column(1, 1, 25, -1, Format::Text)] {
        assert!(plan().columns(&described(wrong)).is_err(), "a masked column is missing");
    }
    let [email, city, ssn] = described(email);
    let twice = [email.clone(), city.clone(), ssn.clone(), email.clone()];
    assert!(plan().columns(&twice).is_err(), "one comes out more often than was proved");
    let other = [email, column(7, 1, 25, -1, Format::Text), ssn];
    assert!(plan().columns(&other).is_err(), "a table that nobody named");
}

/// The values of a row as it is shown.
fn shown(key: &Key, email: backend::Column, value: &[u8]) -> Vec<Option<Vec<u8>>> {
    let columns = plan().columns(&described(email)).expect("agrees");
    let (mut row, mut out) = (BytesMut::new(), BytesMut::new());
    backend::data_row(&mut row, &[Some(value), Some(b"Aurora"), Some(b"123")]).expect("a row");
    columns.write(key, &row[5..], &mut out).expect("the same columns");
    let frame = crate::protocols::postgres::wire::frame::Frame { kind: b'D', body: out.split_off(5).freeze() };
    assert_eq!(out[1..5], u32::try_from(frame.body.len() + 4).expect("short").to_be_bytes());
    match backend::Message::decode(frame).expect("a row") {
        backend::Message::DataRow(values) => values.into_iter().map(|value| value.map(|v| v.to_vec())).collect(),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn values_are_replaced_as_their_type_allows() {
    let dir = tempfile::tempdir().expect("a folder");
    let key = Key::load_or_create(dir.path()).expect("a key");
    let email = |type_oid, type_modifier, format, value: &[u8]| {
        let row = shown(&key, column(1, 3, type_oid, type_modifier, format), value);
        assert_eq!(row[1..], [Some(b"Aurora".to_vec()), None], "the others are as they were; a dropped one is NULL");
        row[0].clone()
    };
    let text = email(25, -1, Format::Text, b"ada@example.org").expect("a hash");
    assert_eq!(text.len(), 32);
    assert_eq!(Some(&text), email(1043, -1, Format::Binary, b"ada@example.org").as_ref());
    assert_ne!(Some(&text), email(25, -1, Format::Text, b"eve@example.org").as_ref());
    assert_eq!(email(1043, 24, Format::Text, b"ada@example.org").map(|v| v.len()), Some(20), "varchar(20)");
    assert_eq!(email(1043, 14, Format::Text, b"ada@"), None, "varchar(10) has no room");
    assert_eq!(email(23, -1, Format::Binary, &[0, 0, 0, 7]), None, "a number has no hash");
    let uuid = uuid::Uuid::from_u128(7);
    let hidden = email(2950, -1, Format::Binary, uuid.as_bytes()).expect("a uuid");
    let hidden = uuid::Uuid::from_slice(&hidden).expect("a uuid").to_string();
    assert_eq!(email(2950, -1, Format::Text, uuid.to_string().as_bytes()), Some(hidden.into_bytes()));
}

//! What the executing session's catalog says of the relations that a statement names.
//!
//! One question, asked on the session itself, so that `search_path`, temporary objects and what the open transaction did
//! mean the same as for the statement that follows. Every name in it is qualified: the session may have put anything into
//! its search path.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::policy::{Mask, MaskedColumn};

/// The question. `$1` is an array of names as written. The answer is a list of the name, what the row tells (`self`: the relation and its
/// inheritance family; `view`: what a view reads; `function`: a view uses a function of the user's; `column`), the oid,
/// schema and name, the kind or type, the column's number.
pub(in crate::protocols::postgres) const QUESTION: &str = r#"
WITH RECURSIVE named AS (
  SELECT given.n, pg_catalog.to_regclass(given.n)::pg_catalog.oid AS oid
  FROM pg_catalog.unnest($1::pg_catalog.text[]) AS given(n)
), reach(n, oid, how) AS (
  SELECT named.n, named.oid, 'self'::pg_catalog.text FROM named WHERE named.oid IS NOT NULL
  UNION
  SELECT reach.n, next.oid, next.how FROM reach CROSS JOIN LATERAL (
    SELECT d.refobjid AS oid, 'view'::pg_catalog.text AS how
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_class v ON v.oid OPERATOR(pg_catalog.=) w.ev_class
    JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) w.oid
    WHERE w.ev_class OPERATOR(pg_catalog.=) reach.oid
      AND v.relkind OPERATOR(pg_catalog.=) ANY ('{v,m}'::pg_catalog."char"[])
      AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
      AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
      AND d.refobjid OPERATOR(pg_catalog.<>) w.ev_class
    UNION ALL
    SELECT i.inhparent, reach.how FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) reach.oid
    UNION ALL
    SELECT i.inhrelid, reach.how FROM pg_catalog.pg_inherits i WHERE i.inhparent OPERATOR(pg_catalog.=) reach.oid
  ) AS next
)
SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(
         told.name, told.how, told.oid, told.schema, told.relation, told.kind, told.attribute)),
         '[]'::pg_catalog.json)::pg_catalog.text
FROM (
SELECT reach.n, reach.how, c.oid::pg_catalog.text, s.nspname::pg_catalog.text, c.relname::pg_catalog.text,
       c.relkind::pg_catalog.text, '0'::pg_catalog.text
FROM reach
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) reach.oid
JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace
UNION ALL
SELECT reach.n, 'function', d.refobjid::pg_catalog.text, '', '', '', '0'
FROM reach
JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) reach.oid
JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) w.oid
WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
  AND (d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
    OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid)
  AND d.refobjid::pg_catalog.int8 OPERATOR(pg_catalog.>=) 16384
UNION ALL
SELECT named.n, 'column', a.attrelid::pg_catalog.text, '', a.attname::pg_catalog.text, a.atttypid::pg_catalog.text,
       a.attnum::pg_catalog.text
FROM named
JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) named.oid
WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
) AS told(name, how, oid, schema, relation, kind, attribute)
"#;

/// System relations that hold values of other tables' columns: the planner's statistics.
const STATISTICS: &[&str] =
    &["pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"];

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) attribute: i16,
    pub(super) mask: Option<Mask>,
}

/// A relation that a statement names.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    pub(super) oid: u32,
    /// In their order.
    pub(super) columns: Vec<Column>,
    /// Why nothing can be said about where its columns come from.
    pub(super) obscure: Option<String>,
}

impl Relation {
    pub(super) fn is_masked(&self) -> bool {
        self.columns.iter().any(|column| column.mask.is_some())
    }
}

/// The relations by the names they are written with.
#[derive(Debug, Default)]
pub(in crate::protocols::postgres) struct Catalog {
    relations: BTreeMap<String, Relation>,
}

/// An answer that does not have the question's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's catalog answered in another shape")]
pub(in crate::protocols::postgres) struct Unreadable;

/// The names as the parameter of [`QUESTION`]: an array in text format.
pub(in crate::protocols::postgres) fn parameter(names: &BTreeSet<String>) -> String {
    let quoted = names.iter().map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// One item of the answer.
struct Told {
    name: String,
    how: String,
    oid: u32,
    schema: String,
    relation: String,
    kind: String,
    attribute: i16,
}

impl Told {
    fn read([name, how, oid, schema, relation, kind, attribute]: [String; 7]) -> Option<Self> {
        let (oid, attribute) = (oid.parse().ok()?, attribute.parse().ok()?);
        Some(Self { name, how, oid, schema, relation, kind, attribute })
    }

    fn is(&self, masked: &MaskedColumn) -> bool {
        masked.table == self.relation && masked.schema.as_ref().is_none_or(|schema| *schema == self.schema)
    }
}

impl Catalog {
    /// Reads the answer, in the light of what is masked.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(in crate::protocols::postgres) fn read(
        answer: &str,
        masks: &BTreeMap<MaskedColumn, Mask>,
    ) -> Result<Self, Unreadable> {
        let items: Vec<[String; 7]> = serde_json::from_str(answer).map_err(|_| Unreadable)?;
        let told: Vec<Told> =
            items.into_iter().map(|item| Told::read(item).ok_or(Unreadable)).collect::<Result<_, _>>()?;
        let mut relations: BTreeMap<String, Relation> = BTreeMap::new();
        for told in told.iter().filter(|told| told.how == "column") {
            let relation = relations.entry(told.name.clone()).or_default();
            relation.oid = told.oid;
            let column = Column { name: told.relation.clone(), attribute: told.attribute, mask: None };
            relation.columns.push(column);
        }
        for told in told.iter().filter(|told| told.how != "column") {
            let relation = relations.entry(told.name.clone()).or_default();
            relation.note(told, masks);
        }
        relations.values_mut().for_each(|relation| relation.columns.sort_by_key(|column| column.attribute));
        Ok(Self { relations })
    }

    pub(super) fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.get(name)
    }

    pub(super) fn relations(&self) -> impl Iterator<Item = (&String, &Relation)> {
        self.relations.iter()
    }
}

impl Relation {
    /// What one row tells of it: itself, its family, what it reads.
    fn note(&mut self, told: &Told, masks: &BTreeMap<MaskedColumn, Mask>) {
        let own = told.how == "self";
        if told.how == "function" {
            self.obscure = Some("it is a view that calls a function of the database's own".to_owned());
            return;
        }
        match told.kind.as_str() {
            "f" => self.obscure = Some("it is, or reads, a foreign table".to_owned()),
            "t" => self.obscure = Some("it is storage of another table".to_owned()),
            _ => {}
        }
        if told.schema == "pg_catalog" && STATISTICS.contains(&told.relation.as_str()) {
            self.obscure = Some("statistics hold values of other tables".to_owned());
        }
        for (masked, mask) in masks.iter().filter(|(masked, _)| told.is(masked)) {
            if !own {
                self.obscure = Some(format!("it is a view that reads `{}`, which has masked columns", masked.table));
            } else if !self.mask(&masked.column, *mask) && told.oid == self.oid {
                self.obscure = Some(format!("a policy masks its column `{}`, which it does not have", masked.column));
            }
        }
    }

    fn mask(&mut self, name: &str, mask: Mask) -> bool {
        let Some(column) = self.columns.iter_mut().find(|column| column.name == name) else { return false };
        column.mask = column.mask.max(Some(mask));
        true
    }
}

#[cfg(test)]
impl Catalog {
    /// A table with these columns, of which some are masked.
    pub(super) fn with_table(mut self, name: &str, oid: u32, columns: &[(&str, Option<Mask>)]) -> Self {
        let columns = columns.iter().zip(1..).map(|((name, mask), attribute)| Column {
            name: (*name).to_owned(),
            attribute,
            mask: *mask,
        });
        let relation = Relation { oid, columns: columns.collect(), obscure: None };
        self.relations.insert(name.to_owned(), relation);
        self
    }

    /// As if only these had been asked about.
    pub(super) fn only(mut self, names: &BTreeSet<String>) -> Self {
        self.relations.retain(|name, _| names.contains(name));
        self
    }

    /// A view that reads a masked table.
    pub(super) fn with_view(mut self, name: &str) -> Self {
        let obscure = Some("it is a view".to_owned());
        self.relations.insert(name.to_owned(), Relation { obscure, ..Relation::default() });
        self
    }
}

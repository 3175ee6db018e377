//! What stands in `FROM`.

use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::scope::{Ctes, Output, Scope, Source, Taint};
use super::{Proof, Prover, why};
use crate::protocols::postgres::describe::names;

/// What is looked at once all sources are known: conditions of joins, columns they merge.
#[derive(Default)]
struct Joins<'n> {
    conditions: Vec<&'n Node>,
    merged: Vec<&'n str>,
    natural: bool,
}

impl Prover<'_> {
    /// The sources of a `FROM`, in their order.
    pub(super) fn from(&mut self, items: &[Node], ctes: Ctes<'_>, outer: Option<&Scope<'_>>) -> Proof<Vec<Source>> {
        let (mut sources, mut joins) = (Vec::new(), Joins::default());
        for item in items {
            self.item(item, ctes, outer, (&mut sources, &mut joins))?;
        }
        let masked = Scope::masked_names(&sources);
        if joins.natural && !masked.is_empty() {
            return why("NATURAL JOIN may compare masked columns");
        }
        if let Some(name) = joins.merged.iter().find(|name| masked.contains(*name)) {
            return why(format!("JOIN … USING compares the masked column `{name}`"));
        }
        for condition in joins.conditions {
            self.clean(condition, ctes, &Scope { sources: &sources, outer })?;
        }
        Ok(sources)
    }

    fn item<'n>(
        &mut self,
        item: &'n Node,
        ctes: Ctes<'_>,
        outer: Option<&Scope<'_>>,
        (sources, joins): (&mut Vec<Source>, &mut Joins<'n>),
    ) -> Proof<()> {
        match item.node.as_ref() {
            Some(NodeEnum::RangeVar(relation)) => sources.push(self.named(relation, ctes)?),
            Some(NodeEnum::RangeSubselect(select)) => {
                let source = self.subselect(select, ctes, outer, sources)?;
                sources.push(source);
            }
            Some(NodeEnum::RangeFunction(function)) => {
                self.clean_all(&function.functions, ctes, &Scope { sources, outer })?;
                let name = function.alias.as_ref().map_or_else(String::new, |alias| alias.aliasname.clone());
                sources.push(Source { name, columns: Vec::new(), open: true });
            }
            Some(NodeEnum::JoinExpr(join)) => {
                if join.alias.is_some() || join.join_using_alias.is_some() {
                    return why("the alias of a join cannot be followed");
                }
                joins.natural |= join.is_natural;
                joins.conditions.extend(join.quals.as_deref());
                let Some(merged) = names::strings(&join.using_clause) else { return why("an unknown USING") };
                joins.merged.extend(merged);
                for side in [&join.larg, &join.rarg] {
                    let Some(side) = side.as_deref() else { return why("half a join") };
                    self.deeper(|prover| prover.item(side, ctes, outer, (&mut *sources, &mut *joins)))?;
                }
            }
            _ => return why("this kind of FROM cannot be followed beside a table with masked columns"),
        }
        Ok(())
    }

    fn subselect(
        &mut self,
        select: &pb::RangeSubselect,
        ctes: Ctes<'_>,
        outer: Option<&Scope<'_>>,
        before: &[Source],
    ) -> Proof<Source> {
        let Some(NodeEnum::SelectStmt(query)) = select.subquery.as_deref().and_then(|node| node.node.as_ref()) else {
            return why("an unknown sub-query");
        };
        let beside = Scope { sources: before, outer };
        let around = if select.lateral { Some(&beside) } else { outer };
        let outputs = self.select(query, ctes, around)?;
        let name = alias(select.alias.as_ref())?.unwrap_or_default();
        Ok(Source { name: name.to_owned(), columns: outputs.columns, open: outputs.open })
    }

    /// A name of `WITH`, or a relation.
    fn named(&self, relation: &pb::RangeVar, ctes: Ctes<'_>) -> Proof<Source> {
        if relation.schemaname.is_empty()
            && let Some(outputs) = ctes.find(&relation.relname)
        {
            let name = alias(relation.alias.as_ref())?.unwrap_or(&relation.relname).to_owned();
            return Ok(Source { name, columns: outputs.columns.clone(), open: outputs.open });
        }
        self.relation(relation)
    }

    /// A relation of the catalog.
    pub(super) fn relation(&self, relation: &pb::RangeVar) -> Proof<Source> {
        let written = names::relation(relation);
        let Some(known) = self.catalog.relation(&written) else {
            return why(format!("the relation `{written}` is not there"));
        };
        let columns = known.columns.iter().map(|column| Output {
            name: column.name.clone(),
            taint: column.mask.map(|_| Taint { table: known.oid, attribute: column.attribute }),
        });
        let name = alias(relation.alias.as_ref())?.unwrap_or(&relation.relname).to_owned();
        Ok(Source { name, columns: columns.collect(), open: false })
    }
}

fn alias(alias: Option<&pb::Alias>) -> Proof<Option<&str>> {
    match alias {
        Some(alias) if !alias.colnames.is_empty() => why("an alias that renames columns cannot be followed"),
        Some(alias) => Ok(Some(&alias.aliasname)),
        None => Ok(None),
    }
}

//! Tables and what hangs on them: definitions, indexes, views, rules, triggers, statistics, sequences, policies.
//!
//! An expression that is only stored (a default, a check of a new table, a view's query) names its tables and functions
//! but runs nothing now; one that the command itself evaluates (an index, a check or default of an existing table, a
//! partition's bound) counts in full.

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::super::names;
use super::object::Kind;
use super::{Visit, Walk, commands, leaves, parts};

parts! {
    IndexElem { expr, collation, opclass, opclassopts; name, indexcolname, ordering, nulls_ordering }
    StatsElem { expr; name }
    PartitionElem { expr, collation, opclass; name, location }
    PartitionSpec { part_params; strategy, location }
    PartitionBoundSpec { listdatums, lowerdatums, upperdatums; strategy, is_default, modulus, remainder, location }
    PartitionRangeDatum { value; kind, location }
}

leaves! {
    ReplicaIdentityStmt { identity_type, name }
    TriggerTransition { name, is_new, is_table }
    AtAlterConstraint { conname, alter_enforceability, is_enforced, alter_deferrability, deferrable, initdeferred, alter_inheritability, noinherit }
}

commands! {
    "ALTER STATISTICS" Ddl AlterStatsStmt { defnames, stxstattarget; missing_ok }
}

impl Visit for pb::CreateStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            relation, table_elts, inh_relations, partbound, partspec, constraints, nnconstraints, options,
            of_typename: _, oncommit: _, tablespacename: _, access_method: _, if_not_exists: _,
        } = self;
        walk.command("CREATE TABLE", SqlClass::Ddl);
        walk.make(relation.as_ref());
        walk.write_relations(inh_relations);
        walk.stored(table_elts);
        walk.stored(constraints);
        walk.stored(nnconstraints);
        walk.stored(partspec);
        partbound.visit(walk);
        options.visit(walk);
    }
}

impl Visit for pb::CreateForeignTableStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { base_stmt, servername: _, options } = self;
        walk.command("CREATE FOREIGN TABLE", SqlClass::Admin);
        base_stmt.visit(walk);
        options.visit(walk);
    }
}

/// A column's type may be any; what a user's type brings along is the catalog's to say.
impl Visit for pb::ColumnDef {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            raw_default, cooked_default, identity_sequence, coll_clause, constraints, fdwoptions,
            colname: _, type_name: _, compression: _, inhcount: _, is_local: _, is_not_null: _, is_from_type: _, storage: _,
            storage_name: _, identity: _, generated: _, coll_oid: _, location: _,
        } = self;
        if cooked_default.is_some() || identity_sequence.is_some() {
            walk.unknown();
        }
        raw_default.visit(walk);
        coll_clause.visit(walk);
        constraints.visit(walk);
        fdwoptions.visit(walk);
    }
}

impl Visit for pb::Constraint {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            raw_expr, keys, including, exclusions, options, where_clause, pktable, fk_attrs, pk_attrs, fk_del_set_cols,
            old_conpfeqop, contype: _, conname: _, deferrable: _, initdeferred: _, is_enforced: _, skip_validation: _,
            initially_valid: _, is_no_inherit: _, cooked_expr: _, generated_when: _, generated_kind: _,
            nulls_not_distinct: _, without_overlaps: _, indexname: _, indexspace: _, reset_default_tblspc: _,
            access_method: _, fk_with_period: _, pk_with_period: _, fk_matchtype: _, fk_upd_action: _, fk_del_action: _,
            old_pktable_oid: _, location: _,
        } = self;
        if let Some(referenced) = pktable {
            walk.read_table(referenced);
        }
        for exclusion in exclusions {
            walk.exclusion(exclusion);
        }
        raw_expr.visit(walk);
        keys.visit(walk);
        including.visit(walk);
        options.visit(walk);
        where_clause.visit(walk);
        fk_attrs.visit(walk);
        pk_attrs.visit(walk);
        fk_del_set_cols.visit(walk);
        old_conpfeqop.visit(walk);
    }
}

impl Walk<'_> {
    /// One element of an exclusion constraint: an index element and the operator that must not hold.
    fn exclusion(&mut self, exclusion: &Node) {
        let Some(NodeEnum::List(pair)) = &exclusion.node else { return self.unknown() };
        let [element, operator] = pair.items.as_slice() else { return self.unknown() };
        let Some(NodeEnum::List(operator)) = &operator.node else { return self.unknown() };
        self.operator(&operator.items);
        element.visit(self);
    }

    /// `OWNED BY table.column` among a sequence's options.
    fn sequence_options(&mut self, options: &[Node]) {
        for option in options {
            let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
            if option.defname != "owned_by" {
                continue;
            }
            if let Some(NodeEnum::List(list)) = option.arg.as_deref().and_then(|arg| arg.node.as_ref())
                && let Some([table @ .., _column]) = names::strings(&list.items).as_deref()
            {
                self.write_name(table);
            }
        }
    }
}

impl Visit for pb::TableLikeClause {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, options: _, relation_oid: _ } = self;
        match relation {
            Some(relation) => walk.read_table(relation),
            None => walk.unknown(),
        }
    }
}

impl Visit for pb::PartitionCmd {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { name, bound, concurrent: _ } = self;
        walk.write_opt(name.as_ref());
        bound.visit(walk);
    }
}

impl Visit for pb::AlterTableStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, cmds, objtype, missing_ok: _ } = self;
        let Some(kind) = Kind::of(*objtype) else { return walk.unknown() };
        walk.command(format!("ALTER {}", kind.words), SqlClass::Ddl);
        if kind.is_table() {
            walk.write_opt(relation.as_ref());
        }
        cmds.visit(walk);
    }
}

impl Visit for pb::AlterTableCmd {
    fn visit(&self, walk: &mut Walk<'_>) {
        use pb::AlterTableType as T;
        let Self { subtype, name: _, num: _, newowner: _, def, behavior: _, missing_ok: _, recurse: _ } = self;
        let subtype = T::try_from(*subtype).unwrap_or(T::Undefined);
        walk.raise(alter_class(subtype));
        match def.as_deref().and_then(|node| node.node.as_ref()) {
            // a parent, or a type whose columns must match
            Some(NodeEnum::RangeVar(parent)) => walk.write(parent),
            Some(NodeEnum::TypeName(_)) => {}
            Some(_) if subtype == T::AtColumnDefault => walk.stored(def),
            Some(_) => def.visit(walk),
            None => {}
        }
    }
}

/// Ownership, row security and what a foreign table points at are administration; what analysis adds is never written.
fn alter_class(subtype: pb::AlterTableType) -> SqlClass {
    use pb::AlterTableType as T;
    match subtype {
        T::AtChangeOwner => SqlClass::Admin,
        T::AtEnableRowSecurity | T::AtDisableRowSecurity | T::AtForceRowSecurity | T::AtNoForceRowSecurity => {
            SqlClass::Admin
        }
        T::AtGenericOptions | T::AtAlterColumnGenericOptions => SqlClass::Admin,
        T::AtAddColumn | T::AtColumnDefault | T::AtDropNotNull | T::AtSetNotNull | T::AtSetExpression => SqlClass::Ddl,
        T::AtDropExpression | T::AtSetStatistics | T::AtSetOptions | T::AtResetOptions | T::AtSetStorage => {
            SqlClass::Ddl
        }
        T::AtSetCompression | T::AtDropColumn | T::AtAddConstraint | T::AtAlterConstraint => SqlClass::Ddl,
        T::AtValidateConstraint | T::AtDropConstraint | T::AtAlterColumnType | T::AtClusterOn => SqlClass::Ddl,
        T::AtDropCluster | T::AtSetLogged | T::AtSetUnLogged | T::AtDropOids | T::AtSetAccessMethod => SqlClass::Ddl,
        T::AtSetTableSpace | T::AtSetRelOptions | T::AtResetRelOptions | T::AtEnableTrig => SqlClass::Ddl,
        T::AtEnableAlwaysTrig | T::AtEnableReplicaTrig | T::AtDisableTrig | T::AtEnableTrigAll => SqlClass::Ddl,
        T::AtDisableTrigAll | T::AtEnableTrigUser | T::AtDisableTrigUser | T::AtEnableRule => SqlClass::Ddl,
        T::AtEnableAlwaysRule | T::AtEnableReplicaRule | T::AtDisableRule | T::AtAddInherit => SqlClass::Ddl,
        T::AtDropInherit | T::AtAddOf | T::AtDropOf | T::AtReplicaIdentity | T::AtAttachPartition => SqlClass::Ddl,
        T::AtDetachPartition | T::AtDetachPartitionFinalize | T::AtAddIdentity | T::AtSetIdentity => SqlClass::Ddl,
        T::AtDropIdentity | T::AtAddIndexConstraint | T::AtAddIndex => SqlClass::Ddl,
        T::AtAddColumnToView | T::AtCookedColumnDefault | T::AtReAddIndex | T::AtReAddConstraint => SqlClass::Opaque,
        T::AtReAddDomainConstraint | T::AtReAddComment | T::AtReplaceRelOptions => SqlClass::Opaque,
        T::AtReAddStatistics | T::Undefined => SqlClass::Opaque,
    }
}

impl Visit for pb::IndexStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            relation, index_params, index_including_params, options, where_clause, exclude_op_names,
            idxname: _, access_method: _, table_space: _, idxcomment: _, index_oid: _, old_number: _, old_create_subid: _,
            old_first_relfilelocator_subid: _, unique: _, nulls_not_distinct: _, primary: _, isconstraint: _,
            iswithoutoverlaps: _, deferrable: _, initdeferred: _, transformed: _, concurrent: _, if_not_exists: _,
            reset_default_tblspc: _,
        } = self;
        walk.command("CREATE INDEX", SqlClass::Ddl);
        walk.write_opt(relation.as_ref());
        index_params.visit(walk);
        index_including_params.visit(walk);
        options.visit(walk);
        where_clause.visit(walk);
        if !exclude_op_names.is_empty() {
            walk.unknown();
        }
    }
}

impl Visit for pb::ViewStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { view, aliases, query, replace: _, options, with_check_option: _ } = self;
        walk.command("CREATE VIEW", SqlClass::Ddl);
        walk.make(view.as_ref());
        aliases.visit(walk);
        walk.stored(query);
        options.visit(walk);
    }
}

impl Visit for pb::CreateTableAsStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { query, into, objtype, is_select_into: _, if_not_exists: _ } = self;
        match pb::ObjectType::try_from(*objtype) {
            Ok(pb::ObjectType::ObjectTable) => walk.command("CREATE TABLE AS", SqlClass::Ddl),
            Ok(pb::ObjectType::ObjectMatview) => walk.command("CREATE MATERIALIZED VIEW", SqlClass::Ddl),
            Ok(_) | Err(_) => walk.unknown(),
        }
        into.visit(walk);
        query.visit(walk);
    }
}

impl Visit for pb::RuleStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, rulename: _, where_clause, event: _, instead: _, actions, replace: _ } = self;
        walk.command("CREATE RULE", SqlClass::Ddl);
        walk.write_opt(relation.as_ref());
        walk.stored(where_clause);
        walk.stored(actions);
    }
}

impl Visit for pb::CreateTrigStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            relation, funcname, args, columns, when_clause, transition_rels, constrrel,
            replace: _, isconstraint: _, trigname: _, row: _, timing: _, events: _, deferrable: _, initdeferred: _,
        } = self;
        walk.command("CREATE TRIGGER", SqlClass::Ddl);
        walk.write_opt(relation.as_ref());
        if let Some(referenced) = constrrel {
            walk.read_table(referenced);
        }
        match names::strings(funcname) {
            Some(name) => walk.name_function(&names::join(&name)),
            None => walk.unknown(),
        }
        args.visit(walk);
        columns.visit(walk);
        walk.stored(when_clause);
        transition_rels.visit(walk);
    }
}

impl Visit for pb::CreateStatsStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { defnames, stat_types, exprs, relations, stxcomment: _, transformed: _, if_not_exists: _ } = self;
        walk.command("CREATE STATISTICS", SqlClass::Ddl);
        defnames.visit(walk);
        stat_types.visit(walk);
        walk.stored(exprs);
        for relation in relations {
            match &relation.node {
                Some(NodeEnum::RangeVar(relation)) => walk.write(relation),
                // the grammar takes any `FROM`, the server only a table
                Some(_) | None => walk.stored(relation),
            }
        }
    }
}

impl Visit for pb::CreateSeqStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { sequence, options, owner_id: _, for_identity: _, if_not_exists: _ } = self;
        walk.command("CREATE SEQUENCE", SqlClass::Ddl);
        walk.make(sequence.as_ref());
        walk.sequence_options(options);
        options.visit(walk);
    }
}

impl Visit for pb::AlterSeqStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { sequence, options, for_identity: _, missing_ok: _ } = self;
        walk.command("ALTER SEQUENCE", SqlClass::Ddl);
        walk.write_opt(sequence.as_ref());
        walk.sequence_options(options);
        options.visit(walk);
    }
}

impl Visit for pb::CreatePolicyStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { policy_name: _, table, cmd_name: _, permissive: _, roles, qual, with_check } = self;
        walk.command("CREATE POLICY", SqlClass::Admin);
        walk.write_opt(table.as_ref());
        roles.visit(walk);
        walk.stored(qual);
        walk.stored(with_check);
    }
}

impl Visit for pb::AlterPolicyStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { policy_name: _, table, roles, qual, with_check } = self;
        walk.command("ALTER POLICY", SqlClass::Admin);
        walk.write_opt(table.as_ref());
        roles.visit(walk);
        walk.stored(qual);
        walk.stored(with_check);
    }
}

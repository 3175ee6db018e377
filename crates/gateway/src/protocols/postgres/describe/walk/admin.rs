//! Rights, roles, the server and other databases: all of it `admin`.

use countersign_core::action::sql::SqlClass;
use pg_query::protobuf as pb;

use super::object::Kind;
use super::{Visit, Walk, commands, parts};

parts! {
    AccessPriv { cols; priv_name }
}

commands! {
    "CREATE ROLE" Admin CreateRoleStmt { options; stmt_type, role }
    "ALTER ROLE" Admin AlterRoleStmt { options; role, action }
    "ALTER ROLE" Admin AlterRoleSetStmt { setstmt; role, database }
    "DROP ROLE" Admin DropRoleStmt { roles; missing_ok }
    "DROP OWNED" Admin DropOwnedStmt { roles; behavior }
    "REASSIGN OWNED" Admin ReassignOwnedStmt { roles; newrole }
    "CREATE TABLESPACE" Admin CreateTableSpaceStmt { options; tablespacename, owner, location }
    "DROP TABLESPACE" Admin DropTableSpaceStmt { ; tablespacename, missing_ok }
    "ALTER TABLESPACE" Admin AlterTableSpaceOptionsStmt { options; tablespacename, is_reset }
    "ALTER TABLE ALL" Admin AlterTableMoveAllStmt { roles; orig_tablespacename, objtype, new_tablespacename, nowait }
    "CREATE EXTENSION" Admin CreateExtensionStmt { options; extname, if_not_exists }
    "ALTER EXTENSION" Admin AlterExtensionStmt { options; extname }
    "ALTER EXTENSION" Admin AlterExtensionContentsStmt { object; extname, action, objtype }
    "CREATE FOREIGN DATA WRAPPER" Admin CreateFdwStmt { func_options, options; fdwname }
    "ALTER FOREIGN DATA WRAPPER" Admin AlterFdwStmt { func_options, options; fdwname }
    "CREATE SERVER" Admin CreateForeignServerStmt { options; servername, servertype, version, fdwname, if_not_exists }
    "ALTER SERVER" Admin AlterForeignServerStmt { options; servername, version, has_version }
    "CREATE USER MAPPING" Admin CreateUserMappingStmt { options; user, servername, if_not_exists }
    "ALTER USER MAPPING" Admin AlterUserMappingStmt { options; user, servername }
    "DROP USER MAPPING" Admin DropUserMappingStmt { ; user, servername, missing_ok }
    "CREATE ACCESS METHOD" Admin CreateAmStmt { ; amname, handler_name, amtype }
    "CREATE EVENT TRIGGER" Admin CreateEventTrigStmt { whenclause; trigname, eventname, funcname }
    "ALTER EVENT TRIGGER" Admin AlterEventTrigStmt { ; trigname, tgenabled }
    "CREATE LANGUAGE" Admin CreatePLangStmt { ; replace, plname, plhandler, plinline, plvalidator, pltrusted }
    "LOAD" Admin LoadStmt { ; filename }
    "CREATE DATABASE" Admin CreatedbStmt { options; dbname }
    "ALTER DATABASE" Admin AlterDatabaseStmt { options; dbname }
    "ALTER DATABASE" Admin AlterDatabaseRefreshCollStmt { ; dbname }
    "ALTER DATABASE" Admin AlterDatabaseSetStmt { setstmt; dbname }
    "DROP DATABASE" Admin DropdbStmt { options; dbname, missing_ok }
    "ALTER SYSTEM" Admin AlterSystemStmt { setstmt; }
    "CHECKPOINT" Admin CheckPointStmt { ; }
    "CREATE PUBLICATION" Admin CreatePublicationStmt { options, pubobjects; pubname, for_all_tables }
    "ALTER PUBLICATION" Admin AlterPublicationStmt { options, pubobjects; pubname, for_all_tables, action }
    "CREATE SUBSCRIPTION" Admin CreateSubscriptionStmt { publication, options; subname, conninfo, conninfo_location }
    "ALTER SUBSCRIPTION" Admin AlterSubscriptionStmt { publication, options; kind, subname, conninfo, conninfo_location }
    "DROP SUBSCRIPTION" Admin DropSubscriptionStmt { ; subname, missing_ok, behavior }
}

impl Visit for pb::GrantStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            is_grant, objtype, objects, privileges, grantees,
            targtype: _, grant_option: _, grantor: _, behavior: _,
        } = self;
        walk.command(if *is_grant { "GRANT" } else { "REVOKE" }, SqlClass::Admin);
        for object in objects {
            match &object.node {
                Some(pg_query::NodeEnum::RangeVar(relation)) => walk.touch(relation),
                Some(_) => walk.stored(object),
                None => walk.unknown(),
            }
        }
        if Kind::of(*objtype).is_none() {
            walk.unknown();
        }
        privileges.visit(walk);
        grantees.visit(walk);
    }
}

impl Visit for pb::GrantRoleStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { granted_roles, grantee_roles, is_grant, opt, grantor: _, behavior: _ } = self;
        walk.command(if *is_grant { "GRANT ROLE" } else { "REVOKE ROLE" }, SqlClass::Admin);
        granted_roles.visit(walk);
        grantee_roles.visit(walk);
        opt.visit(walk);
    }
}

impl Visit for pb::AlterDefaultPrivilegesStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { options, action } = self;
        walk.command("ALTER DEFAULT PRIVILEGES", SqlClass::Admin);
        options.visit(walk);
        action.visit(walk);
    }
}

/// The tables that a foreign server's schema brings are named in the local schema.
impl Visit for pb::ImportForeignSchemaStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self { table_list, options, server_name: _, remote_schema: _, local_schema: _, list_type: _ } = self;
        walk.command("IMPORT FOREIGN SCHEMA", SqlClass::Admin);
        walk.write_relations(table_list);
        options.visit(walk);
    }
}

impl Visit for pb::PublicationObjSpec {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { pubobjtype: _, name: _, pubtable, location: _ } = self;
        pubtable.visit(walk);
    }
}

impl Visit for pb::PublicationTable {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, where_clause, columns } = self;
        match relation {
            Some(relation) => walk.touch(relation),
            None => walk.unknown(),
        }
        walk.stored(where_clause);
        columns.visit(walk);
    }
}

//! One arm for every node kind of the tree. There is no `_`: a kind that a newer grammar adds must be placed here.

use pg_query::NodeEnum;

use super::{Visit, Walk};

/// One exhaustive match: kinds that are visited, kinds with nothing to run, kinds the parser never yields.
macro_rules! every_kind {
    (visited { $($visited:ident)* } nothing { $($nothing:ident)* } never { $($never:ident)* }) => {
        impl Visit for NodeEnum {
            fn visit(&self, walk: &mut Walk<'_>) {
                match self {
                    $(NodeEnum::$visited(node) => node.visit(walk),)*
                    $(NodeEnum::$nothing(_))|* => {}
                    $(NodeEnum::$never(_))|* => walk.unknown(),
                }
            }
        }
    };
}

every_kind! {
    visited {
        // relations
        RangeVar JoinExpr RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample
        JsonTable JsonTableColumn JsonTablePathSpec
        // expressions
        AExpr BoolExpr SubLink CaseExpr CaseWhen CoalesceExpr MinMaxExpr NullTest BooleanTest RowExpr GroupingFunc
        NamedArgExpr TypeCast TypeName CollateClause ColumnRef FuncCall AIndices AIndirection AArrayExpr ResTarget
        MultiAssignRef SortBy WindowDef GroupingSet LockingClause DefElem List
        // XML and JSON
        XmlExpr XmlSerialize JsonFormat JsonReturning JsonValueExpr JsonIsPredicate JsonBehavior JsonOutput JsonArgument
        JsonFuncExpr JsonKeyValue JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonObjectConstructor
        JsonArrayConstructor JsonArrayQueryConstructor JsonAggConstructor JsonObjectAgg JsonArrayAgg
        // clauses of queries
        IntoClause WithClause CommonTableExpr CtesearchClause CtecycleClause InferClause OnConflictClause ReturningClause
        MergeWhenClause
        // parts of definitions
        ColumnDef Constraint TableLikeClause IndexElem StatsElem PartitionElem PartitionSpec PartitionBoundSpec
        PartitionRangeDatum PartitionCmd AlterTableCmd AtalterConstraint ReplicaIdentityStmt TriggerTransition
        FunctionParameter ObjectWithArgs AccessPriv CreateOpClassItem VacuumRelation PublicationTable PublicationObjSpec
        // queries
        SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt ReturnStmt
        // the session and its transaction
        TransactionStmt VariableSetStmt VariableShowStmt ConstraintsSetStmt PrepareStmt ExecuteStmt DeallocateStmt
        DeclareCursorStmt FetchStmt ClosePortalStmt DiscardStmt ListenStmt UnlistenStmt NotifyStmt LockStmt
        // wrappers, code, and commands that work on tables
        ExplainStmt CopyStmt DoStmt CallStmt TruncateStmt VacuumStmt ClusterStmt ReindexStmt RefreshMatViewStmt
        // tables and what hangs on them
        CreateStmt CreateTableAsStmt CreateForeignTableStmt AlterTableStmt IndexStmt ViewStmt RuleStmt CreateTrigStmt
        CreateStatsStmt AlterStatsStmt CreateSeqStmt AlterSeqStmt CreatePolicyStmt AlterPolicyStmt
        // other definitions
        CreateSchemaStmt CreateFunctionStmt AlterFunctionStmt DefineStmt CreateDomainStmt AlterDomainStmt
        CompositeTypeStmt CreateEnumStmt CreateRangeStmt AlterEnumStmt AlterTypeStmt CreateOpClassStmt
        CreateOpFamilyStmt AlterOpFamilyStmt AlterOperatorStmt CreateConversionStmt CreateCastStmt CreateTransformStmt
        AlterCollationStmt AlterTsdictionaryStmt AlterTsconfigurationStmt
        // any object by its name
        DropStmt CommentStmt SecLabelStmt RenameStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOwnerStmt
        // rights, server, other databases
        GrantStmt GrantRoleStmt AlterDefaultPrivilegesStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt
        DropOwnedStmt ReassignOwnedStmt CreateTableSpaceStmt DropTableSpaceStmt AlterTableSpaceOptionsStmt
        AlterTableMoveAllStmt CreateExtensionStmt AlterExtensionStmt AlterExtensionContentsStmt CreateFdwStmt
        AlterFdwStmt CreateForeignServerStmt AlterForeignServerStmt CreateUserMappingStmt AlterUserMappingStmt
        DropUserMappingStmt ImportForeignSchemaStmt CreateAmStmt CreateEventTrigStmt AlterEventTrigStmt CreatePlangStmt
        LoadStmt CreatedbStmt AlterDatabaseStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt DropdbStmt
        AlterSystemStmt CheckPointStmt CreatePublicationStmt AlterPublicationStmt CreateSubscriptionStmt
        AlterSubscriptionStmt DropSubscriptionStmt
    }
    nothing {
        // names, constants, parameters: nothing to run. `CurrentOfExpr` names a cursor, `SetToDefault` the column's own
        // default, `SqlvalueFunction` is `current_user` and its like, `MergeSupportFunc` is `merge_action()`.
        Alias Integer Float Boolean String BitString AConst AStar ParamRef SetToDefault CurrentOfExpr SqlvalueFunction
        MergeSupportFunc RoleSpec ReturningOption
    }
    never {
        // made by analysis, rewriting or planning; the parser does not yield them
        TableFunc Var Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr DistinctExpr
        NullIfExpr ScalarArrayOpExpr SubPlan AlternativeSubPlan FieldSelect FieldStore RelabelType CoerceViaIo
        ArrayCoerceExpr ConvertRowtypeExpr CollateExpr CaseTestExpr ArrayExpr RowCompareExpr JsonConstructorExpr JsonExpr
        JsonTablePath JsonTablePathScan JsonTableSiblingJoin MergeAction CoerceToDomain CoerceToDomainValue
        NextValueExpr InferenceElem ReturningExpr TargetEntry RangeTblRef FromExpr OnConflictExpr Query RangeTblEntry
        RtepermissionInfo RangeTblFunction TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause
        SetOperationStmt InlineCodeBlock CallContext IntList OidList
        // made by another start symbol (PL/pgSQL's assignments), or only around a statement
        PlassignStmt RawStmt
    }
}

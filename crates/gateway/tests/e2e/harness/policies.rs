//! Policies that tests of several kinds start from.

/// Two of the DBAs, so that one vote leaves it open.
pub(crate) const TWO_DBAS: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
@id("writes") permit (principal, action == Action::"sql:write", resource);
@id("two") @review("two DBAs") @expires("30m")
forbid (principal, action == Action::"sql:write", resource) unless { context.approvals.contains(Quorum::"dba:2") };
@id("reviewers") permit (principal, action == Action::"approve", resource);
"#;

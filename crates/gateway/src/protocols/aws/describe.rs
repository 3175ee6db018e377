//! A request's head and body become [`AwsFacts`].

use std::collections::BTreeSet;

use countersign_core::action::request::{AwsFacts, RequestClass};

use super::call::{self, Call};
use super::scope::{self, Scope};
use super::{Aws, classes, resources, s3};
use crate::relay::dialect::Content;
use crate::relay::head::Head;
use crate::relay::json::Json;

/// The service of a request that was not signed, or twice.
const UNSIGNED: &str = "unknown";

/// What a request means.
pub fn describe(aws: &Aws, head: &Head, content: Content<'_>) -> AwsFacts {
    let Some(scope) = Scope::of(head) else { return AwsFacts::opaque(UNSIGNED, "") };
    let prefix = scope::prefix(&scope.signed_for);
    known(aws, &scope, prefix, head, content).unwrap_or_else(|| AwsFacts::opaque(prefix, &scope.region))
}

fn known(aws: &Aws, scope: &Scope, prefix: &str, head: &Head, content: Content<'_>) -> Option<AwsFacts> {
    let service = scope::service(&scope.signed_for)?;
    if scope.signed_for == "s3" {
        plain_rest(head)?;
        let asked = s3::asked(head)?;
        return Some(facts(scope, prefix, asked.action, asked.resources, false));
    }
    if scope.signed_for == "apigateway" {
        plain_rest(head)?;
        return Some(api_gateway(scope, prefix, head));
    }
    if let Some(call) = call::of(service, head, content) {
        let resources = resources::of(prefix, &scope.region, &call);
        let dry_run = call.dry_run && matches!(prefix, "ec2" | "kms");
        return Some(facts(scope, prefix, named(prefix, &call.operation), resources, dry_run));
    }
    if service.speaks("rest") {
        plain_rest(head)?;
        return rest(aws, scope, prefix, head, content);
    }
    None
}

/// That nothing of another protocol is in a request of REST.
fn plain_rest(head: &Head) -> Option<()> {
    let others = ["x-amz-target", "smithy-protocol", "x-http-method-override", "x-method-override"];
    let action = |name: &str| matches!(name.to_ascii_lowercase().as_str(), "action" | "_method");
    let mut pairs = head.query_pairs().into_iter();
    (!others.iter().any(|name| head.headers.contains_key(*name)) && !pairs.any(|(name, _)| action(&name))).then_some(())
}

fn rest(aws: &Aws, scope: &Scope, prefix: &str, head: &Head, content: Content<'_>) -> Option<AwsFacts> {
    let routed = aws.models.find(&scope.signed_for, head)?;
    let mut call = Call { operation: routed.operation, ..Call::default() };
    for (name, value) in routed.labels {
        call.parameters.entry(name).or_default().insert(value);
    }
    let json = content.bytes().filter(|bytes| !bytes.is_empty()).and_then(Json::parse);
    if json.as_ref().is_some_and(Json::repeats) {
        return None;
    }
    for (name, values) in json.as_ref().and_then(call::members).unwrap_or_default() {
        call.parameters.entry(name).or_default().extend(values);
    }
    let dry_run = prefix == "lambda" && head.header("x-amz-invocation-type") == Some("DryRun");
    let resources = resources::of(prefix, &scope.region, &call);
    Some(facts(scope, prefix, named(prefix, &call.operation), resources, dry_run))
}

/// API Gateway's actions are its methods, and its resources its paths.
fn api_gateway(scope: &Scope, prefix: &str, head: &Head) -> AwsFacts {
    let resources = [format!("arn:aws:apigateway:{}::{}", scope.region, head.path())].into();
    let mut facts = facts(scope, prefix, head.method.as_str(), resources, false);
    let keys = head.segments().first().is_some_and(|first| first == "apikeys");
    facts.class = match (head.method.as_str(), keys) {
        ("GET", true) => RequestClass::Reveal,
        ("GET", false) => RequestClass::Read,
        ("PUT" | "POST" | "PATCH" | "DELETE", true) => RequestClass::Admin,
        ("PUT" | "POST" | "PATCH" | "DELETE", false) => RequestClass::Write,
        _ => RequestClass::Opaque,
    };
    facts
}

fn facts(scope: &Scope, prefix: &str, operation: &str, resources: BTreeSet<String>, dry_run: bool) -> AwsFacts {
    let action = format!("{prefix}:{operation}");
    let (service, region) = (prefix.to_owned(), scope.region.clone());
    AwsFacts { class: classes::of(&action), service, action, region, resources, dry_run }
}

/// The action that policies name an operation by, where it is not the operation's own name.
fn named<'a>(prefix: &str, operation: &'a str) -> &'a str {
    match (prefix, operation) {
        ("lambda", "Invoke" | "InvokeWithResponseStream") => "InvokeFunction",
        ("dynamodb", "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction") => "PartiQLUpdate",
        ("dynamodb", "TransactWriteItems") => "BatchWriteItem",
        ("dynamodb", "TransactGetItems") => "BatchGetItem",
        _ => operation,
    }
}

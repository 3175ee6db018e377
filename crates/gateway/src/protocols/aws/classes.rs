//! How dangerous an action is, by a table of exceptions and AWS's own way of naming what reads.

use std::sync::LazyLock;

use countersign_core::action::request::RequestClass;

/// What the names of operations that read begin with.
const READS: &[&str] = &[
    "Get",
    "List",
    "Describe",
    "Head",
    "BatchGet",
    "BatchDescribe",
    "Lookup",
    "Query",
    "Scan",
    "Select",
    "Search",
    "Check",
    "Validate",
    "Estimate",
    "Simulate",
    "Filter",
    "View",
    "Preview",
    "TransactGet",
    "Verify",
    "Count",
    "Detect",
    "Discover",
    "DecodeAuthorizationMessage",
];

struct Line {
    class: RequestClass,
    patterns: Vec<&'static str>,
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let read = |line: &'static str| {
        let (name, patterns) = line.split_once(' ')?;
        let class = class(name)?;
        Some(Line { class, patterns: patterns.split(' ').collect() })
    };
    include_str!("classes.txt").lines().filter(|line| !line.starts_with('#')).filter_map(read).collect()
});

fn class(name: &str) -> Option<RequestClass> {
    use RequestClass::{Admin, Exec, Read, Reveal, Write};
    [Read, Write, Exec, Reveal, Admin].into_iter().find(|class| class.name() == name)
}

/// The class of an action, `iam:CreateRole`.
pub(super) fn of(action: &str) -> RequestClass {
    let reads = reads(action);
    let means = |line: &&Line| line.patterns.iter().any(|pattern| line.class.means(pattern, action, reads));
    let by_name = if reads { RequestClass::Read } else { RequestClass::Write };
    LINES.iter().rev().find(means).map_or(by_name, |line| line.class)
}

/// Whether the name of an action is one that reads: a word of [`READS`], and a capital behind it.
fn reads(action: &str) -> bool {
    let (_, operation) = action.split_once(':').unwrap_or(("", action));
    READS.iter().any(|word| {
        let rest = operation.strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

trait Means {
    fn means(self, pattern: &str, action: &str, reads: bool) -> bool;
}

impl Means for RequestClass {
    fn means(self, pattern: &str, action: &str, reads: bool) -> bool {
        let spares = match self {
            RequestClass::Write | RequestClass::Exec | RequestClass::Admin | RequestClass::Opaque => true,
            RequestClass::Read | RequestClass::Reveal => false,
        };
        matches(pattern, action) && !(spares && reads && pattern.contains('*'))
    }
}

/// Whether a text is of a pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, behind)) => text.strip_prefix(before).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.into_iter().any(|at| rest.get(at..).is_some_and(|rest| matches(behind, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = include_str!("classes.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        assert_eq!(lines.count(), LINES.len());
        assert!(LINES.iter().all(|line| line.patterns.iter().all(|pattern| pattern.contains(':'))));
    }

    #[test]
    fn actions_have_classes() {
        for (actions, expected) in [
            ("iam:GetRole iam:ListUsers iam:SimulatePrincipalPolicy iam:GenerateCredentialReport", RequestClass::Read),
            (
                "s3:GetObject s3:ListBucket dynamodb:Query dynamodb:BatchGetItem ec2:DescribeInstances",
                RequestClass::Read,
            ),
            (
                "sts:GetCallerIdentity logs:FilterLogEvents s3:GetBucketPolicy kms:GetKeyPolicy kms:Verify",
                RequestClass::Read,
            ),
            (
                "s3:PutObject s3:DeleteObject ec2:TerminateInstances dynamodb:PutItem sqs:ReceiveMessage",
                RequestClass::Write,
            ),
            ("autoscaling:PutScalingPolicy dynamodb:ExecuteStatement kms:Encrypt ec2:Getaway", RequestClass::Write),
            ("lambda:InvokeFunction ssm:SendCommand ecs:ExecuteCommand rds-data:ExecuteStatement", RequestClass::Exec),
            (
                "secretsmanager:GetSecretValue ssm:GetParametersByPath kms:Decrypt kms:GenerateDataKey",
                RequestClass::Reveal,
            ),
            ("sts:AssumeRole sts:GetSessionToken ec2:GetPasswordData lambda:GetFunction", RequestClass::Reveal),
            ("iam:CreateAccessKey iam:CreateRole kms:ScheduleKeyDeletion s3:PutBucketPolicy", RequestClass::Admin),
            (
                "ec2:AuthorizeSecurityGroupIngress organizations:LeaveOrganization sqs:AddPermission",
                RequestClass::Admin,
            ),
            (
                "lambda:AddPermission s3:PutObjectAcl cloudtrail:StopLogging ecr:SetRepositoryPolicy",
                RequestClass::Admin,
            ),
        ] {
            for action in actions.split(' ') {
                assert_eq!(of(action), expected, "{action}");
            }
        }
    }
}

//! The ARNs that a call names, by a table of parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::call::Call;

/// The most ARNs of one request; one that names more gets `*` besides.
const RESOURCES_MAX: usize = 64;
/// The longest value that becomes part of an ARN.
const VALUE_BYTES_MAX: usize = 2_048;

static FORMATS: LazyLock<BTreeMap<(&'static str, &'static str), &'static str>> = LazyLock::new(|| {
    let read = |line: &'static str| {
        let mut words = line.splitn(3, ' ');
        Some(((words.next()?, words.next()?), words.next()?))
    };
    include_str!("resources.txt").lines().filter(|line| !line.starts_with('#')).filter_map(read).collect()
});

/// What a call names.
pub(super) fn of(service: &str, region: &str, call: &Call) -> BTreeSet<String> {
    let mut resources = BTreeSet::new();
    for (name, values) in &call.parameters {
        let format = FORMATS.get(&(service, name.as_str()));
        for value in values {
            if resources.len() >= RESOURCES_MAX || value.len() > VALUE_BYTES_MAX {
                resources.insert("*".to_owned());
                break;
            }
            // what is an ARN names something wherever it stands, but a policy's text or a tag is no ARN
            if value.starts_with("arn:") && !value.contains(char::is_whitespace) {
                resources.insert(value.clone());
            } else if let Some(format) = format.filter(|_| !value.is_empty()) {
                let alias = service == "kms" && value.starts_with("alias/");
                let format = if alias { "arn:aws:kms:{region}:*:{}" } else { format };
                resources.insert(format.replace("{region}", region).replace("{}", own(service, name, value)));
            }
        }
    }
    resources
}

/// The part of a value that stands in an ARN: of a queue's address its name, of a parameter its path without the first slash.
fn own<'a>(service: &str, name: &str, value: &'a str) -> &'a str {
    match (service, name) {
        ("sqs", "QueueUrl") => value.rsplit('/').next().unwrap_or(value),
        ("ssm", _) => value.strip_prefix('/').unwrap_or(value),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(service: &str, name: &str, value: &str, expected: &str) {
        let parameters = [(name.to_owned(), [value.to_owned()].into())].into();
        let call = Call { parameters, ..Call::default() };
        assert_eq!(of(service, "eu-central-1", &call).into_iter().collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn parameters_name_resources() {
        check("iam", "RoleName", "ci", "arn:aws:iam::*:role/ci");
        check("iam", "PolicyDocument", "{}", "");
        check("kms", "KeyId", "alias/app", "arn:aws:kms:eu-central-1:*:alias/app");
        check("sqs", "QueueUrl", "https://sqs.eu-central-1.amazonaws.com/1/jobs", "arn:aws:sqs:eu-central-1:*:jobs");
        check("ssm", "Name", "/app/db", "arn:aws:ssm:eu-central-1:*:parameter/app/db");
        check("sns", "TopicArn", "arn:aws:sns:eu-central-1:1:t", "arn:aws:sns:eu-central-1:1:t");
        check("lambda", "Qualifier", "1", "");
    }
}

//! Where AWS itself has its services: a target whose upstream is `https://amazonaws.com` stands for all of them.
//!
//! <https://docs.aws.amazon.com/general/latest/gr/rande.html>. Most are at `SERVICE.REGION.amazonaws.com`; a table has the others, and
//! those that know one region alone, which is signed for whatever region the client has. Deliberately absent: services under
//! `api.aws`, other partitions, and FIPS; each can have a target of its own with its own upstream.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::scope::Scope;

/// The upstream that stands for all services.
pub(super) const ALL: &str = "amazonaws.com";
/// The longest name of a region.
const REGION_BYTES_MAX: usize = 32;

/// A service's host before `.amazonaws.com`, and the one region it is signed for.
struct Place {
    host: Option<&'static str>,
    region: Option<&'static str>,
}

static PLACES: LazyLock<BTreeMap<&'static str, Place>> = LazyLock::new(|| {
    let lines = include_str!("endpoints.txt").lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let mut word = || words.next().filter(|word| *word != "-");
        Some((name, Place { host: word(), region: word() }))
    };
    lines.filter_map(read).collect()
});

/// The host of what is signed for, with the operation that `X-Amz-Target` names; nothing where it has none, or it cannot be told.
pub(super) fn host(scope: &Scope, target: Option<&str>) -> Option<String> {
    super::scope::service(&scope.signed_for)?;
    let label =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let region = region(scope);
    (label(region) && region.len() <= REGION_BYTES_MAX).then_some(())?;
    let streams = target.is_some_and(|target| target.starts_with("DynamoDBStreams_"));
    let name = match PLACES.get(scope.signed_for.as_str()) {
        Some(place) => place.host?.replace("{region}", region),
        None if streams => format!("streams.{}.{region}", scope.signed_for),
        None if label(&scope.signed_for) => format!("{}.{region}", scope.signed_for),
        None => return None,
    };
    Some(format!("{name}.{ALL}"))
}

/// The region that is signed for.
pub(super) fn region(scope: &Scope) -> &str {
    PLACES.get(scope.signed_for.as_str()).and_then(|place| place.region).unwrap_or(&scope.region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(service: &str, region: &str, expected: Option<&str>) {
        let scope = Scope { signed_for: service.to_owned(), region: region.to_owned() };
        let found = host(&scope, None).map(|host| format!("{host} {}", super::region(&scope)));
        assert_eq!(found.as_deref(), expected, "{service} {region}");
    }

    #[test]
    fn services_are_where_aws_has_them() {
        check("sts", "eu-central-1", Some("sts.eu-central-1.amazonaws.com eu-central-1"));
        check("s3", "us-east-1", Some("s3.us-east-1.amazonaws.com us-east-1"));
        check("iam", "eu-central-1", Some("iam.amazonaws.com us-east-1"));
        check("ecr", "eu-west-1", Some("api.ecr.eu-west-1.amazonaws.com eu-west-1"));
        check("ses", "eu-west-1", Some("email.eu-west-1.amazonaws.com eu-west-1"));
        check("organizations", "eu-west-1", Some("organizations.us-east-1.amazonaws.com us-east-1"));
        check("monitoring", "eu-west-1", Some("monitoring.eu-west-1.amazonaws.com eu-west-1"));
        for (service, region) in [
            ("s3", "evil.example.org"),
            ("s3", "a_b"),
            ("evil", "eu-west-1"),
            ("lex", "eu-west-1"),
            ("S3", "eu-west-1"),
        ] {
            check(service, region, None);
        }
    }

    #[test]
    fn every_line_of_the_table_is_of_a_service() {
        for (name, place) in PLACES.iter() {
            assert!(super::super::scope::service(name).is_some(), "{name}");
            assert!(
                place.host.is_none_or(|host| host
                    .replace("{region}", "r")
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && b != b'/'))
            );
        }
    }
}

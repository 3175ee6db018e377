//! How one bundle differs from another, policy by policy, and what that alone says about which of them permits more.
//!
//! Text is compared, not meaning: what the text cannot settle is for the solver ([`super::prove`]), and what neither
//! settles counts as permitting more.

use std::collections::BTreeMap;

use cedar_policy::{Effect, Policy};

use super::bundle::Bundle;
use super::decision::Obligations;

/// One policy that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its id.
    pub id: String,
    /// Its text in the old bundle, annotations included; absent where it is new.
    pub before: Option<String>,
    /// Its text in the new one; absent where it is gone.
    pub after: Option<String>,
}

/// What differs between two bundles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The policies, by id.
    pub policies: Vec<Difference>,
    /// Groups that policies may name in one of the bundles alone: their schemas cannot be compared then.
    pub groups: bool,
    /// Whether every policy with obligations stands in the new bundle as it stood in the old one.
    pub obligations_kept: bool,
    /// Whether the texts alone show that nothing more is permitted: forbids were added, permits taken away, and nothing else.
    pub stricter_by_text: bool,
}

impl Bundle {
    /// What differs in this bundle from an older one.
    pub fn differences_from(&self, old: &Bundle) -> Differences {
        let (before, after) = (texts(old), texts(self));
        let mut ids: Vec<&String> = before.keys().chain(after.keys()).collect();
        ids.sort();
        ids.dedup();
        let differing = ids.into_iter().filter(|id| before.get(*id) != after.get(*id));
        let policies: Vec<Difference> = differing
            .map(|id| Difference { id: id.clone(), before: before.get(id).cloned(), after: after.get(id).cloned() })
            .collect();
        let groups = self.schema_text() != old.schema_text();
        let obligations_kept =
            policies.iter().all(|difference| !obliges(old, &difference.id)) && !allows_alike(self, old, &policies);
        let only_stricter = policies.iter().all(|difference| match (&difference.before, &difference.after) {
            (None, Some(_)) => effect(self, &difference.id) == Some(Effect::Forbid),
            (Some(_), None) => effect(old, &difference.id) == Some(Effect::Permit),
            (Some(_), Some(_)) | (None, None) => false,
        });
        Differences {
            groups,
            obligations_kept,
            stricter_by_text: only_stricter && obligations_kept && !groups,
            policies,
        }
    }
}

fn obliges(bundle: &Bundle, id: &str) -> bool {
    bundle.meta.get(id).is_some_and(|meta| meta.annotations.obligations != Obligations::default())
}

/// Whether `@pattern` may allow people more than before. It holds only where every forbid in the way says so: so neither may
/// one come to say it, nor one go that does not, as long as any says it.
fn allows_alike(new: &Bundle, old: &Bundle, policies: &[Difference]) -> bool {
    let says = |id: &str| new.meta.get(id).is_some_and(|meta| meta.annotations.obligations.pattern.is_some());
    let any = new.policy_ids().any(says);
    any && policies
        .iter()
        .any(|Difference { id, before, .. }| says(id) || (before.is_some() && effect(old, id) == Some(Effect::Forbid)))
}

fn effect(bundle: &Bundle, id: &str) -> Option<Effect> {
    bundle.meta.get(id).map(|meta| meta.effect)
}

fn texts(bundle: &Bundle) -> BTreeMap<String, String> {
    let policies = bundle.policies().policies();
    policies.map(|policy| (AsRef::<str>::as_ref(policy.id()).to_owned(), text(policy))).collect()
}

/// As its author wrote it.
fn text(policy: &Policy) -> String {
    let written = policy.as_ref().loc().and_then(|loc| loc.snippet());
    written.map_or_else(|| policy.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bundle, source};
    use super::super::{Bundle, Vocabulary};

    const OLD: &str = "@id(\"read\") permit (principal, action == Action::\"sql:read\", resource);
        @id(\"write\") permit (principal, action == Action::\"sql:write\", resource);
        @id(\"ask\") @stepup(\"passkey\") forbid (principal, action == Action::\"sql:write\", resource)
        unless { context.approvals.contains(Quorum::\"dba:1\") };";

    /// Of a text in the place of another: the ids that differ, whether obligations stay, whether it is stricter.
    fn check(from: &str, to: &str, expected: (&[&str], bool, bool)) {
        assert!(OLD.contains(from), "{from}");
        let found = bundle(&OLD.replacen(from, to, 1)).differences_from(&bundle(OLD));
        let ids: Vec<&str> = found.policies.iter().map(|difference| difference.id.as_str()).collect();
        assert_eq!((ids.as_slice(), found.obligations_kept, found.stricter_by_text), expected, "{from} → {to}");
    }

    #[test]
    fn what_is_stricter_by_its_text_alone() {
        let read = "@id(\"read\") permit (principal, action == Action::\"sql:read\", resource);";
        let forbid = "@id(\"new\") forbid (principal, action, resource is Database);";
        check(read, &format!("// the same\n{read}"), (&[], true, true));
        check(read, "", (&["read"], true, true));
        check(read, &format!("{read}{forbid}"), (&["new"], true, true));
        check(read, &format!("{read}@id(\"new\") permit (principal, action, resource);"), (&["new"], true, false));
        check("sql:read", "sql:ddl", (&["read"], true, false));
    }

    #[test]
    fn a_policy_that_obliges_may_not_be_touched() {
        check("@stepup(\"passkey\") ", "", (&["ask"], false, false));
        check("dba:1", "dba:2", (&["ask"], false, false));
        check("@stepup(\"passkey\")", "@stepup(\"passkey\") @justify(\"required\")", (&["ask"], false, false));
    }

    #[test]
    fn approvals_of_the_like_do_not_come_by_themselves() {
        let like = "@id(\"like\") @pattern(\"2 in 1h\") forbid (principal, action == Action::\"sql:ddl\", resource)
            unless { context.approvals.contains(Quorum::\"dba:1\") };";
        let plain = "@id(\"plain\") forbid (principal, action == Action::\"sql:ddl\", resource)
            unless { context.approvals.contains(Quorum::\"dba:1\") };";
        let kept = |old: &str, new: &str| bundle(new).differences_from(&bundle(old)).obligations_kept;
        assert!(kept(OLD, &format!("{OLD}{plain}")));
        assert!(!kept(OLD, &format!("{OLD}{like}")));
        assert!(!kept(&format!("{OLD}{plain}{like}"), &format!("{OLD}{like}")));
        assert!(kept(&format!("{OLD}{like}"), &format!("{OLD}{like}{plain}")));
    }

    #[test]
    fn other_groups_cannot_be_compared() {
        let groups = ["dba", "sre"].map(str::to_owned).into();
        let vocabulary = Vocabulary::new(groups, 5).expect("a vocabulary");
        let other = Bundle::load(vec![source("test.cedar", OLD)], vocabulary).expect("valid");
        let found = other.differences_from(&bundle(OLD));
        assert!(found.groups && !found.stricter_by_text && found.policies.is_empty());
    }
}

//! How dangerous a request is, by what it does to which resource.
//!
//! The measure for what only changes objects is the cluster's own role `edit`: what it may write is `write` here, and what
//! guards it (rights, admission, quotas, nodes, namespaces that exist, what a whole cluster shares) is `admin`:
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles>. Groups that nobody here knows are
//! those of custom resources.

use countersign_core::action::request::RequestClass;

use super::path::{Place, Prefix, Verb};

/// The resources of the core group; there are no others.
const CORE: &[&str] = &[
    "bindings",
    "componentstatuses",
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "serviceaccounts",
    "services",
];

/// Groups in which every change is one of what guards the rest, or of what the whole cluster shares.
const ADMIN_GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
    // OpenShift's rights
    "authorization.openshift.io",
    "oauth.openshift.io",
    "security.openshift.io",
    "user.openshift.io",
    // policy engines
    "config.gatekeeper.sh",
    "constraints.gatekeeper.sh",
    "kyverno.io",
    "mutations.gatekeeper.sh",
    "policies.kyverno.io",
    "templates.gatekeeper.sh",
];

/// Resources likewise, in groups that have others as well.
const ADMIN_RESOURCES: &[(&str, &str)] = &[
    ("", "limitranges"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumes"),
    ("", "resourcequotas"),
    ("extensions", "podsecuritypolicies"),
    ("policy", "podsecuritypolicies"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceslices"),
];

/// Questions that are asked by creating something: nothing is kept of them.
const QUESTIONS: &[(&str, &str)] = &[
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

/// Groups whose objects are measured values; what stands as a subresource there is the name of a metric.
const METRICS: &[&str] = &["custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"];

/// What a subresource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sub {
    /// None: the object itself.
    Object,
    /// A part that is read and written.
    Part,
    /// A part that is read only.
    ReadOnly,
    /// `exec`, `attach`, `portforward`.
    Session,
    /// `proxy`: whatever the object answers to.
    Proxy,
    /// Containers that are put into a pod that runs.
    Ephemeral,
    /// A service account's token.
    Token,
    /// Something that is created below an object.
    Below,
}

/// What a request's options make the server answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answers {
    /// A deletion may be answered with the object.
    pub(super) with_the_object: bool,
}

/// Whether a request opens a channel into something: its body, if it has one, is not for the API server.
pub(super) fn connects(place: &Place<'_>) -> bool {
    place.prefix == Prefix::Proxy || matches!(sub(place), Some(Sub::Session | Sub::Proxy))
}

/// Whether the server heeds `dryRun` for it: not where it opens a channel, answers a question or makes a token.
pub(super) fn can_be_dry(place: &Place<'_>, verb: Verb) -> bool {
    !verb.reads() && !connects(place) && sub(place) != Some(Sub::Token) && !is_question(place)
}

/// Whether it evicts a pod.
pub(super) fn evicts(place: &Place<'_>) -> bool {
    (place.group, place.resource, place.subresource) == ("", "pods", "eviction")
}

/// Whether it is a question that is asked by creating something.
pub(super) fn is_question(place: &Place<'_>) -> bool {
    QUESTIONS.contains(&(place.group, place.resource))
}

/// The class of a request; `None` where there is no such request.
pub(super) fn class(place: &Place<'_>, verb: Verb, answers: Answers) -> Option<RequestClass> {
    let sub = sub(place)?;
    is_possible(place, verb, sub).then_some(())?;
    Some(match sub {
        Sub::Session | Sub::Proxy => RequestClass::Exec,
        Sub::Ephemeral if !verb.reads() => RequestClass::Exec,
        Sub::Token => RequestClass::Reveal,
        Sub::ReadOnly | Sub::Ephemeral => RequestClass::Read,
        Sub::Below => RequestClass::Write,
        Sub::Object | Sub::Part if is_secret(place) => of_secret(verb, answers),
        Sub::Object | Sub::Part if verb.reads() || is_question(place) => RequestClass::Read,
        Sub::Object if place.resource == "namespaces" && verb == Verb::Create => RequestClass::Write,
        Sub::Object | Sub::Part if is_admin(place) => RequestClass::Admin,
        Sub::Object | Sub::Part => RequestClass::Write,
    })
}

/// Whether what is read is credentials.
pub(super) fn is_secret(place: &Place<'_>) -> bool {
    place.resource == "secrets" || place.group == "oauth.openshift.io"
}

/// A change of Secrets is a write as long as the server answers with nothing but what was sent. It answers a patch with the
/// whole object, also an empty one, and a deletion of many with all of them, also a dry one: those read as they write.
fn of_secret(verb: Verb, answers: Answers) -> RequestClass {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => RequestClass::Reveal,
        Verb::Delete if answers.with_the_object => RequestClass::Admin,
        Verb::Create | Verb::Update | Verb::Delete => RequestClass::Write,
        Verb::Patch | Verb::DeleteCollection | Verb::Proxy => RequestClass::Admin,
    }
}

fn is_admin(place: &Place<'_>) -> bool {
    ADMIN_GROUPS.contains(&place.group) || ADMIN_RESOURCES.contains(&(place.group, place.resource))
}

fn sub(place: &Place<'_>) -> Option<Sub> {
    if place.prefix == Prefix::Proxy {
        return matches!((place.group, place.resource), ("", "pods" | "services" | "nodes")).then_some(Sub::Proxy);
    }
    match (place.group, place.resource, place.subresource) {
        (_, _, "") => Some(Sub::Object),
        ("", "pods", "exec" | "attach" | "portforward") => Some(Sub::Session),
        ("", "pods" | "services" | "nodes", "proxy") => Some(Sub::Proxy),
        ("", "pods", "ephemeralcontainers") => Some(Sub::Ephemeral),
        ("", "pods", "log") => Some(Sub::ReadOnly),
        ("", "pods", "eviction" | "binding") => Some(Sub::Below),
        ("", "pods", "resize") => Some(Sub::Part),
        ("", "serviceaccounts", "token") => Some(Sub::Token),
        ("", "namespaces", "finalize") => Some(Sub::Part),
        ("certificates.k8s.io", "certificatesigningrequests", "approval") => Some(Sub::Part),
        (group, _, _) if METRICS.contains(&group) => Some(Sub::ReadOnly),
        (_, _, "status" | "scale") => Some(Sub::Part),
        _ => None,
    }
}

/// Whether the server has such a request at all. What it has not could be read in another way by somebody.
fn is_possible(place: &Place<'_>, verb: Verb, sub: Sub) -> bool {
    let known = match place.group {
        "" => CORE.contains(&place.resource),
        _ => place.resource != "namespaces",
    };
    let named = !place.name.is_empty();
    let ends = !place.goes_on && !place.slash;
    known
        && match sub {
            Sub::Proxy => named,
            Sub::Object => {
                ends && match verb {
                    Verb::Create | Verb::List | Verb::DeleteCollection => !named,
                    Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => named,
                    Verb::Watch => true,
                    Verb::Proxy => false,
                }
            }
            Sub::Part | Sub::Ephemeral => ends && matches!(verb, Verb::Get | Verb::Update | Verb::Patch),
            Sub::ReadOnly => ends && verb == Verb::Get,
            Sub::Session => ends && matches!(verb, Verb::Get | Verb::Create),
            Sub::Token | Sub::Below => ends && verb == Verb::Create,
        }
}

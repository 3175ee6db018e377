//! A bundle of policies: texts in, a validated, immutable decision point out.
//!
//! Loading reports everything that is wrong at once. What it accepts is validated strictly against the generated schema
//! with warnings as errors, carries only known annotations, and includes the forbids compiled into the gateway. The
//! bundle's digest covers schema, vocabulary and every text. Files and hot reload are the gateway's.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Authorizer, Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use serde::Serialize;

use crate::action::{BundleDigest, digest};

use super::annotation::Annotations;
use super::bounds;
use super::decision::Quorum;
use super::index::Index;
use super::problem::{LoadError, Place, Problem};
use super::protocol;
use super::stage;
use super::steady;
use super::vocabulary::{ANY, Vocabulary};
use super::world::World;

/// The largest sum of policy texts: 4 MiB, some 20,000 policies.
pub const BUNDLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most policies in a bundle, the compiled-in ones included: 10,000 of one's own load within a few seconds.
pub const POLICIES_MAX: usize = 10_010;
/// How deep policies may follow attributes: `resource.agent.owner` is 2.
const LEVEL_MAX: u32 = 2;

const CORE_NAME: &str = "core.cedar";
const CORE: &str = include_str!("core.cedar");
/// Ids that only compiled-in policies have.
const CORE_PREFIX: &str = "core:";

/// One policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Source {
    /// Its name, for messages; files count in the order of their names.
    pub name: String,
    /// Its text, in Cedar's syntax.
    pub text: String,
}

/// What is known about one policy besides its condition.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) effect: Effect,
    pub(super) annotations: Annotations,
    /// The quorums its condition mentions.
    pub(super) quorums: BTreeSet<Quorum>,
    /// Whether its answer stays the same as long as what is asked does.
    steady: bool,
}

/// A validated set of policies: the decision point itself.
#[derive(Debug)]
pub struct Bundle {
    digest: BundleDigest,
    vocabulary: Vocabulary,
    schema_text: String,
    pub(super) authorizer: Authorizer,
    pub(super) index: Index,
    pub(super) meta: BTreeMap<String, Meta>,
    /// Whether any policy masks anything.
    pub(super) masks: bool,
    pub(super) world: World,
    quorums: BTreeSet<Quorum>,
    /// All of them, for proofs; decisions are made by the index.
    policies: PolicySet,
}

impl Bundle {
    /// Reads and validates policy files.
    ///
    /// # Errors
    /// [`LoadError`]: everything that is wrong, with file, line and column.
    pub fn load(mut sources: Vec<Source>, vocabulary: Vocabulary) -> Result<Self, LoadError> {
        let bytes = sources.iter().map(|source| source.text.len() + source.name.len()).sum();
        if bytes > BUNDLE_BYTES_MAX {
            return Err(LoadError::TooLarge { bytes, max: BUNDLE_BYTES_MAX });
        }
        sources.sort();
        let schema_text = vocabulary.schema_text(protocol::SCHEMAS);
        let schema = schema(&schema_text)?;
        let digest = bundle_digest(&schema_text, &sources)?;

        let mut reader = Reader::new(&vocabulary);
        reader.read(Place { file: CORE_NAME, text: CORE }, true);
        for (at, source) in sources.iter().enumerate() {
            let place = Place { file: &source.name, text: &source.text };
            if at > 0 && sources[at - 1].name == source.name {
                reader.problems.push(place.problem(None, "two files have this name", None));
            }
            reader.read(place, false);
        }
        let (policies, meta) = reader.finish(&schema)?;
        let world = World::new(schema, &vocabulary).map_err(|error| LoadError::Schema(error.to_string()))?;
        let steady = |policy: &Policy| meta.get(AsRef::<str>::as_ref(policy.id())).is_some_and(|meta| meta.steady);
        let index = Index::new(&policies, &world.schema, world.hierarchy(), steady);
        let index = index.map_err(|error| LoadError::Schema(error.to_string()))?;
        let masks = meta.values().any(|meta| !meta.annotations.obligations.masks.is_empty());
        let quorums = every_quorum(&meta);
        let authorizer = Authorizer::new();
        Ok(Self { digest, vocabulary, schema_text, authorizer, index, meta, masks, world, quorums, policies })
    }

    /// Every quorum any policy mentions; `any:1` besides, for policies that mention none.
    pub(super) fn every_quorum(&self) -> &BTreeSet<Quorum> {
        &self.quorums
    }

    /// Every policy, compiled-in ones included.
    pub(super) fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The digest over schema, vocabulary and texts: which policies answered.
    pub fn digest(&self) -> BundleDigest {
        self.digest
    }

    /// The names policies may use.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The schema in Cedar's own syntax, for editors and Cedar's own tools.
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// The text of one policy as its file has it; none where there is no such policy.
    pub fn policy_text(&self, id: &str) -> Option<String> {
        self.policies.policy(&PolicyId::new(id))?.to_cedar()
    }

    /// The ids of all policies, compiled-in ones included, in order.
    pub fn policy_ids(&self) -> impl Iterator<Item = &str> {
        self.meta.keys().map(String::as_str)
    }
}

fn every_quorum(meta: &BTreeMap<String, Meta>) -> BTreeSet<Quorum> {
    let mut all: BTreeSet<Quorum> = meta.values().flat_map(|meta| meta.quorums.iter().cloned()).collect();
    all.insert(Quorum { group: ANY.to_owned(), count: 1 });
    all
}

fn schema(text: &str) -> Result<Schema, LoadError> {
    let (schema, warnings) =
        Schema::from_cedarschema_str(text).map_err(|error| LoadError::Schema(DetailedError::from(&error).message))?;
    let warnings: Vec<String> = warnings.map(|warning| warning.to_string()).collect();
    if warnings.is_empty() { Ok(schema) } else { Err(LoadError::Schema(warnings.join("; "))) }
}

/// What a bundle's digest covers; the vocabulary is part of the schema.
#[derive(Serialize)]
struct Contents<'a> {
    schema: &'a str,
    core: &'a str,
    sources: &'a [Source],
}

fn bundle_digest(schema: &str, sources: &[Source]) -> Result<BundleDigest, LoadError> {
    let bytes = digest::canonical(&Contents { schema, core: CORE, sources })
        .map_err(|error| LoadError::Schema(error.to_string()))?;
    Ok(BundleDigest::of(&bytes))
}

/// Collects policies, and problems, file by file.
struct Reader<'a> {
    vocabulary: &'a Vocabulary,
    policies: PolicySet,
    meta: BTreeMap<String, Meta>,
    origin: BTreeMap<String, Place<'a>>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(vocabulary: &'a Vocabulary) -> Self {
        Self {
            vocabulary,
            policies: PolicySet::new(),
            meta: BTreeMap::new(),
            origin: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    fn read(&mut self, place: Place<'a>, core: bool) {
        let out_of_bounds = bounds::check(place);
        if !out_of_bounds.is_empty() {
            self.problems.extend(out_of_bounds);
            return;
        }
        let parsed = match place.text.parse::<PolicySet>() {
            Ok(parsed) => parsed,
            Err(errors) => {
                let cedar = errors.iter().map(|error| place.cedar(&DetailedError::from(error)));
                self.problems.extend(cedar);
                return;
            }
        };
        for template in parsed.templates() {
            let at = template.as_ref().loc().map(|loc| loc.start());
            let help = "write one policy for each principal and resource; slots cannot be analysed".to_owned();
            self.problems.push(place.problem(at, "templates (`?principal`, `?resource`) are not accepted", Some(help)));
        }
        let mut policies: Vec<&Policy> = parsed.policies().collect();
        policies.sort_by_key(|policy| offset(policy));
        for policy in policies {
            self.add(place, policy, core);
        }
    }

    fn add(&mut self, place: Place<'a>, policy: &Policy, core: bool) {
        let mut annotations = Annotations::default();
        let mut sound = true;
        for (key, annotation) in policy.as_ref().annotations() {
            let read = annotations.read(key.as_ref(), annotation.as_ref(), policy.effect(), self.vocabulary);
            if let Err(message) = read {
                let at = annotation.loc.as_ref().map(|loc| loc.start());
                self.problems.push(place.problem(at, message, None));
                sound &= key.as_ref() != "id";
            }
        }
        if let Some(message) = annotations.idle_escalation(&quorums(policy), place.of(policy).unwrap_or_default()) {
            self.problems.push(place.problem(offset(policy), message, None));
        }
        let Some(id) = annotations.id.clone() else {
            if sound {
                let help = "put `@id(\"a-name\")` before it".to_owned();
                self.problems.push(place.problem(offset(policy), "this policy has no `@id`", Some(help)));
            }
            return;
        };
        if !core && id.starts_with(CORE_PREFIX) {
            let message = format!("`{id}`: ids that begin with `{CORE_PREFIX}` belong to the policies compiled in");
            self.problems.push(place.problem(offset(policy), message, None));
            return;
        }
        self.keep(place, policy, id, annotations);
    }

    fn keep(&mut self, place: Place<'a>, policy: &Policy, id: String, annotations: Annotations) {
        if let Some(first) = self.origin.get(&id) {
            let message = format!("the id `{id}` is already used in `{}`", first.file);
            self.problems.push(place.problem(offset(policy), message, None));
            return;
        }
        if let Err(error) = self.policies.add(policy.new_id(PolicyId::new(&id))) {
            self.problems.push(place.problem(offset(policy), error.to_string(), None));
            return;
        }
        let (quorums, limits) = (quorums(policy), annotations.obligations.pattern);
        if limits.is_some() && quorums.is_empty() {
            let help = "a pattern is approved by people: end the policy in `unless { context.approvals.contains(…) }`";
            let message = "`@pattern` on a policy that asks for no approval has no effect";
            self.problems.push(place.problem(offset(policy), message, Some(help.to_owned())));
            return;
        }
        let meta = Meta { effect: policy.effect(), annotations, quorums, steady: place.steady(policy) };
        self.meta.insert(id.clone(), meta);
        self.origin.insert(id, place);
    }

    fn finish(mut self, schema: &Schema) -> Result<(PolicySet, BTreeMap<String, Meta>), LoadError> {
        let policies = self.meta.len();
        if policies > POLICIES_MAX {
            return Err(LoadError::TooMany { policies, max: POLICIES_MAX });
        }
        for (id, message) in stage::problems(&self.meta) {
            let place = self.origin.get(&id).copied().unwrap_or(Place { file: CORE_NAME, text: CORE });
            self.problems.push(place.problem(None, format!("`{id}`: {message}"), None));
        }
        self.validate(schema);
        if self.problems.is_empty() {
            return Ok((self.policies, self.meta));
        }
        self.problems.sort();
        self.problems.dedup();
        Err(LoadError::Policies(self.problems))
    }

    /// Warnings count as errors; those of a policy that has errors only repeat them.
    fn validate(&mut self, schema: &Schema) {
        let validator = Validator::new(schema.clone());
        let validated = validator.validate_with_level(&self.policies, ValidationMode::Strict, LEVEL_MAX);
        let failed: BTreeSet<&PolicyId> = validated.validation_errors().map(|error| error.policy_id()).collect();
        let errors = validated.validation_errors().map(|error| (error.policy_id(), DetailedError::from(error)));
        let warnings = validated.validation_warnings().filter(|warning| !failed.contains(warning.policy_id()));
        let warnings = warnings.map(|warning| (warning.policy_id(), DetailedError::from(warning)));
        for (id, error) in errors.chain(warnings) {
            let id: &str = id.as_ref();
            let place = self.origin.get(id).copied().unwrap_or(Place { file: CORE_NAME, text: CORE });
            self.problems.push(place.cedar(&error));
        }
    }
}

impl<'a> Place<'a> {
    fn of(self, policy: &Policy) -> Option<&'a str> {
        policy.as_ref().loc().and_then(|loc| self.text.get(loc.start()..loc.end()))
    }

    /// Whether the text of a policy says that its answer cannot change by itself.
    fn steady(self, policy: &Policy) -> bool {
        self.of(policy).is_some_and(steady::steady)
    }
}

pub(super) fn offset(policy: &Policy) -> Option<usize> {
    policy.as_ref().loc().map(|loc| loc.start())
}

pub(super) fn quorums(policy: &Policy) -> BTreeSet<Quorum> {
    let literals = policy.entity_literals().into_iter();
    let tokens = literals.filter(|uid| uid.type_name().basename() == "Quorum");
    tokens.filter_map(|uid| Quorum::try_from(uid.id().unescaped().to_owned()).ok()).collect()
}

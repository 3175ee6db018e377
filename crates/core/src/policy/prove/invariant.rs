//! Invariants: situations that no policy may ever allow, written as the `forbid` that must never be needed.
//!
//! They are in files of their own and take no part in decisions. `@invariant("never")` keeps the two apart: the decision
//! point refuses a file that carries it, and this reader one that does not.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::super::annotation;
use super::super::bounds;
use super::super::bundle::{Bundle, Source, offset, quorums};
use super::super::decision::Quorum;
use super::super::problem::{LoadError, Place, Problem};

/// The most invariants that are read.
pub const INVARIANTS_MAX: usize = 1_000;

const CORE_NAME: &str = "core_invariants.cedar";
const CORE: &str = include_str!("core_invariants.cedar");
/// Ids of the invariants compiled in.
const CORE_PREFIX: &str = "core:";

/// A situation that must never be allowed.
#[derive(Debug, Clone)]
pub struct Invariant {
    pub(super) id: String,
    pub(super) text: String,
    /// Where it is written; none for those compiled in.
    pub(super) file: Option<String>,
    /// The situation: what this `forbid` matches.
    pub(super) policy: Policy,
    pub(super) quorums: BTreeSet<Quorum>,
}

impl Invariant {
    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Bundle {
    /// Reads the invariants that are compiled in, then those of these files, against the schema of this bundle.
    ///
    /// # Errors
    /// [`LoadError`]: everything that is wrong, with file, line and column.
    pub fn invariants(&self, sources: &[Source]) -> Result<Vec<Invariant>, LoadError> {
        let mut reader = Reader::default();
        reader.read(Place { file: CORE_NAME, text: CORE }, true);
        for source in sources {
            reader.read(Place { file: &source.name, text: &source.text }, false);
        }
        reader.finish(&self.world.schema)
    }
}

#[derive(Default)]
struct Reader<'a> {
    found: Vec<(Invariant, Place<'a>)>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, place: Place<'a>, core: bool) {
        let out_of_bounds = bounds::check(place);
        if !out_of_bounds.is_empty() {
            return self.problems.extend(out_of_bounds);
        }
        let parsed = match place.text.parse::<PolicySet>() {
            Ok(parsed) => parsed,
            Err(errors) => {
                return self.problems.extend(errors.iter().map(|error| place.cedar(&DetailedError::from(error))));
            }
        };
        for template in parsed.templates() {
            let at = template.as_ref().loc().map(|loc| loc.start());
            self.problems.push(place.problem(at, "templates (`?principal`, `?resource`) are not accepted", None));
        }
        let mut policies: Vec<&Policy> = parsed.policies().collect();
        policies.sort_by_key(|policy| offset(policy));
        for policy in policies {
            match invariant(policy, place, core) {
                Ok(invariant) => self.found.push((invariant, place)),
                Err(message) => self.problems.push(place.problem(offset(policy), message, None)),
            }
        }
    }

    fn finish(mut self, schema: &Schema) -> Result<Vec<Invariant>, LoadError> {
        if self.found.len() > INVARIANTS_MAX {
            return Err(LoadError::TooMany { policies: self.found.len(), max: INVARIANTS_MAX });
        }
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        for (invariant, place) in &self.found {
            if let Some(file) = first.insert(&invariant.id, place.file) {
                let message = format!("the id `{}` is already used in `{file}`", invariant.id);
                self.problems.push(place.problem(offset(&invariant.policy), message, None));
            }
        }
        for (invariant, place) in &self.found {
            self.problems.extend(invalid(invariant, *place, schema));
        }
        if self.problems.is_empty() {
            return Ok(self.found.into_iter().map(|(invariant, _)| invariant).collect());
        }
        self.problems.sort();
        self.problems.dedup();
        Err(LoadError::Policies(self.problems))
    }
}

/// What Cedar says against it; warnings count, one of them being that it can never match.
fn invalid(invariant: &Invariant, place: Place<'_>, schema: &Schema) -> Vec<Problem> {
    let mut alone = PolicySet::new();
    if let Err(error) = alone.add(invariant.policy.clone()) {
        return vec![place.problem(offset(&invariant.policy), error.to_string(), None)];
    }
    let validated = Validator::new(schema.clone()).validate(&alone, ValidationMode::Strict);
    let errors: Vec<DetailedError> = validated.validation_errors().map(DetailedError::from).collect();
    let warnings = validated.validation_warnings().map(DetailedError::from).collect();
    let told = if errors.is_empty() { warnings } else { errors };
    told.iter().map(|error| place.cedar(error)).collect()
}

fn invariant(policy: &Policy, place: Place<'_>, core: bool) -> Result<Invariant, String> {
    let (mut id, mut text, mut never) = (None, None, false);
    for (key, annotation) in policy.as_ref().annotations() {
        let value: &str = annotation.as_ref();
        match key.as_ref() {
            "id" => id = Some(annotation::id(value)?),
            "text" => text = Some(annotation::text("text", value)?),
            "invariant" if value == "never" => never = true,
            "invariant" => return Err(format!("`@invariant` knows only \"never\", not `{value}`")),
            other => {
                return Err(format!("unknown annotation `@{other}` on an invariant; there are id, invariant, text"));
            }
        }
    }
    let id = id.ok_or("this invariant has no `@id`")?;
    if !never {
        return Err(format!("`{id}` is in a folder of invariants: put `@invariant(\"never\")` before it"));
    }
    if policy.effect() == Effect::Permit {
        return Err(format!("`{id}`: write an invariant as the `forbid` that must never be needed"));
    }
    if !core && id.starts_with(CORE_PREFIX) {
        return Err(format!("`{id}`: ids that begin with `{CORE_PREFIX}` belong to the invariants compiled in"));
    }
    let text = text.unwrap_or_else(|| format!("what `{id}` forbids is never allowed"));
    let file = (!core).then(|| place.file.to_owned());
    let quorums = quorums(policy);
    let policy = policy.new_id(PolicyId::new(&id));
    Ok(Invariant { id, text, file, policy, quorums })
}

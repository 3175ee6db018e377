//! Approvals of a *pattern*: this action and the like of it, so many times, until then.
//!
//! Two actions are alike when everything that gives an action its meaning is the same but for some of its values: who
//! asks and for whom, the target and its credential, the facts and the objects that its names refer to, the session, and
//! every byte of the text that is no value. All of that is one digest, the [`FrameDigest`]; the values are listed apart,
//! and a reviewer says for each whether it stays the same, may be any integer of a range, or anything at all. What the
//! protocol hands in as values is all that can vary, so a value that it does not list is part of the frame.
//!
//! A [`Likeness`] is made of an action and proves what it looks like; [`Approved::admits`] is the only source of a [`Use`],
//! which `grant::release` wants for an action under a pattern. How often and until when is counted by the store, in the
//! transaction that records the intent. Why this form: `docs/adr/0009-a-pattern-is-a-frame-with-bounded-values.md`.

mod choice;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::action::digest::{NotCanonical, canonical};
use crate::action::sql::{SqlClass, SqlFacts};
use crate::action::{
    ActionDigest, ActionRequest, Described, Facts, FrameDigest, Job, PatternDigest, PatternId, PersonId, ReviewId,
    SessionFacts, Timestamp, ValueDigest,
};

pub use self::choice::{Bound, Choice, ChoiceError, Limits, Wish};

/// The most values of an action that can be approved as a pattern: a page shows each in a row of its own.
pub const VALUES_MAX: usize = 50;
/// The longest text of such an action, in bytes: a page shows all of it.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;

/// One value of an action: what a reviewer may let vary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// What kind of value it is; always the same in what is alike.
    pub kind: String,
    /// The value, where a range may be given for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer: Option<i64>,
    /// Whether it may be let free.
    pub free: bool,
    /// The value, exactly.
    pub digest: ValueDigest,
    /// The value as people are shown it, redacted.
    pub shown: String,
}

/// An action taken apart by its protocol: what is fixed, and its values in order.
#[derive(Debug, Clone)]
pub struct Skeleton {
    /// Everything that goes to the upstream besides the values, in order.
    pub fixed: Vec<String>,
    /// The statement's fingerprint by the protocol's own grammar.
    pub fingerprint: String,
    /// The text for people, a mark in the place of each value.
    pub text: String,
    /// The values.
    pub values: Vec<Value>,
}

/// What an action looks like apart from its values, and these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Everything that must be the same.
    pub frame: FrameDigest,
    /// The text for people.
    pub text: String,
    /// The values, in order.
    pub values: Vec<Value>,
}

/// What a review offers besides an approval for once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offer {
    /// The like of it can be approved too.
    Like(Shape),
    /// Policy would allow that, but this action has no like; why.
    Never(String),
}

/// Why an action has no like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unlike {
    /// More than one statement, or none.
    #[error("only a message of one statement can be approved as a pattern")]
    Statements,
    /// Its effect is not known well enough.
    #[error(
        "only reads and changes of rows can be approved as a pattern, and none that may run the database's own code"
    )]
    Class,
    /// How many rows it changes could not be measured, so nothing would bound it.
    #[error("how many rows it changes was not measured, so nothing would bound the like of it")]
    Unbounded,
    /// It runs in the middle of something.
    #[error("it runs inside a transaction that has done something, or runs what was prepared before")]
    History,
    /// Its session is not like any other.
    #[error("its session has temporary objects, or changed definitions")]
    Session,
    /// It comes with data.
    #[error("it comes with a stream of data")]
    Stream,
    /// It is no statement.
    #[error("it is not sent as a statement")]
    Form,
    /// Too long to be shown whole.
    #[error("it is longer than {TEXT_BYTES_MAX} bytes, or has more than {VALUES_MAX} values")]
    TooLong,
    /// It could not be put in canonical form.
    #[error("it cannot be put in canonical form")]
    NotCanonical,
}

/// Everything that the like of an action has in common with it. In the order of its canonical text.
#[derive(Serialize)]
struct Frame<'a> {
    action: String,
    facts: &'a Facts,
    fingerprint: &'a str,
    fixed: &'a [String],
    generation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a Job>,
    kinds: Vec<&'a str>,
    on_behalf_of: &'a PersonId,
    requester: &'a str,
    session: &'a SessionFacts,
    target: &'a str,
}

/// Proof of what one action looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    action: ActionDigest,
    shape: Shape,
}

impl Likeness {
    /// Of an action that its protocol took apart.
    ///
    /// # Errors
    /// [`Unlike`]: nothing counts as the like of it.
    pub fn of(request: &ActionRequest, skeleton: Skeleton) -> Result<Self, Unlike> {
        let described = request.described();
        alone(described)?;
        if skeleton.values.len() > VALUES_MAX || skeleton.text.len() > TEXT_BYTES_MAX {
            return Err(Unlike::TooLong);
        }
        let frame = frame(described, &skeleton).map_err(|_| Unlike::NotCanonical)?;
        let shape = Shape { frame, text: skeleton.text, values: skeleton.values };
        Ok(Self { action: request.digest(), shape })
    }

    /// What it looks like.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

fn frame(described: &Described, skeleton: &Skeleton) -> Result<FrameDigest, NotCanonical> {
    let frame = Frame {
        action: described.facts.action(),
        facts: &described.facts,
        fingerprint: &skeleton.fingerprint,
        fixed: &skeleton.fixed,
        generation: &described.target.generation,
        job: described.requester.job(),
        kinds: skeleton.values.iter().map(|value| value.kind.as_str()).collect(),
        on_behalf_of: &described.on_behalf_of.id,
        requester: described.requester.handle(),
        session: &described.session,
        target: &described.target.name,
    };
    Ok(FrameDigest::of(&canonical(&frame)?))
}

/// Whether an action stands for itself: known, bounded, and no part of anything longer.
fn alone(described: &Described) -> Result<(), Unlike> {
    let (class, statements) = match &*described.facts {
        Facts::Sql(SqlFacts { class, statements }) => (class, statements),
        // a change of the gate is approved each time; no request is taken apart into what may vary
        Facts::Http(_) | Facts::Kubernetes(_) | Facts::Aws(_) | Facts::Gate(_) => return Err(Unlike::Class),
    };
    let [statement] = statements.as_slice() else { return Err(Unlike::Statements) };
    let plain = matches!(statement.verb.as_str(), "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE");
    if !plain || !matches!(class, SqlClass::Read | SqlClass::Write) || !statement.code.is_empty() {
        return Err(Unlike::Class);
    }
    if *class == SqlClass::Write && described.impact.rows_max.is_none() {
        return Err(Unlike::Unbounded);
    }
    let session = &described.session;
    if !session.transaction.is_empty() || !session.prepared.is_empty() {
        return Err(Unlike::History);
    }
    Ok(())
}

/// What people approved: a shape, how far its values may vary, how often and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Its handle.
    pub id: PatternId,
    /// The review it came from.
    pub review: ReviewId,
    /// What was reviewed.
    pub shape: Shape,
    /// What may vary, and how often.
    pub choice: Choice,
    /// The digest of both.
    pub digest: PatternDigest,
    /// When it was approved.
    pub issued_at: Timestamp,
    /// When it stops being good.
    pub expires_at: Timestamp,
}

impl Approved {
    /// What votes agreed on.
    ///
    /// # Errors
    /// Never for values built by this crate's own types; see [`canonical`].
    pub fn new(
        id: PatternId,
        review: ReviewId,
        shape: Shape,
        choice: Choice,
        issued_at: Timestamp,
    ) -> Result<Self, NotCanonical> {
        let digest = digest(&shape, &choice)?;
        let expires_at = issued_at.plus_seconds(i64::from(choice.limits.seconds));
        Ok(Self { id, review, shape, choice, digest, issued_at, expires_at })
    }

    /// Whether an action is the like of what was approved. Says nothing of how often or of time.
    pub fn is_like(&self, like: &Likeness) -> bool {
        self.shape.frame == like.shape.frame && self.choice.admits(&self.shape.values, &like.shape.values)
    }

    /// Lets an action use it at a moment, after so many uses, under the limits that policy sets by now. Says nothing of who
    /// stands behind it: that is asked anew for each use.
    pub fn admits(&self, like: &Likeness, now: Timestamp, used: u32, policy: Limits) -> Option<Use> {
        let limits = self.choice.limits.stricter(policy);
        let is_over = now >= self.expires_at || now >= self.issued_at.plus_seconds(i64::from(limits.seconds));
        let good = self.is_like(like) && !is_over && used < limits.uses;
        good.then(|| Use { pattern: self.id.clone(), action: like.action, uses_max: limits.uses })
    }
}

/// Proof that one action is the like of what was approved; only [`Approved::admits`] makes one.
///
/// ```compile_fail
/// use countersign_core::pattern::Use;
/// fn forge(pattern: countersign_core::action::PatternId, action: countersign_core::action::ActionDigest) -> Use {
///     Use { pattern, action, uses_max: 1 } // private fields
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pattern: PatternId,
    action: ActionDigest,
    uses_max: u32,
}

impl Use {
    /// The pattern to be used.
    pub fn pattern(&self) -> &PatternId {
        &self.pattern
    }

    /// The only action it is for.
    pub fn action(&self) -> ActionDigest {
        self.action
    }

    /// It may be the last of so many.
    pub fn uses_max(&self) -> u32 {
        self.uses_max
    }
}

/// The digest of a shape and what may vary in it: what a vote for a pattern signs.
///
/// # Errors
/// Never for values built by this crate's own types; see [`canonical`].
pub fn digest(shape: &Shape, choice: &Choice) -> Result<PatternDigest, NotCanonical> {
    #[derive(Serialize)]
    struct Meaning<'a> {
        choice: &'a Choice,
        frame: FrameDigest,
        text: &'a str,
        values: Vec<ValueDigest>,
    }
    let values = shape.values.iter().map(|value| value.digest).collect();
    let meaning = Meaning { choice, frame: shape.frame, text: &shape.text, values };
    Ok(PatternDigest::of(&canonical(&meaning)?))
}

//! How far the values of a pattern may vary, how often and for how long: what a reviewer chooses, within what policy sets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Shape, Value};

/// How often and for how long; policy sets the most of both (`@pattern("20 in 1h")`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Executions, the first included.
    pub uses: u32,
    /// From the approval on.
    pub seconds: u32,
}

impl Limits {
    /// Both hold.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self { uses: self.uses.min(other.uses), seconds: self.seconds.min(other.seconds) }
    }
}

/// How far one value may vary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The very same value.
    #[default]
    Same,
    /// Any integer of a range, both ends included.
    Range {
        /// The least.
        from: i64,
        /// The greatest.
        to: i64,
    },
    /// Anything of its kind.
    Any,
}

impl Bound {
    /// For people.
    pub fn words(&self) -> String {
        match self {
            Bound::Same => "same value".to_owned(),
            Bound::Range { from, to } => format!("{from} to {to}"),
            Bound::Any => "anything".to_owned(),
        }
    }

    fn admits(&self, reviewed: &Value, value: &Value) -> bool {
        match self {
            Bound::Same => reviewed.digest == value.digest,
            Bound::Range { from, to } => value.integer.is_some_and(|integer| (*from..=*to).contains(&integer)),
            Bound::Any => reviewed.free && value.free,
        }
    }

    fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Bound::Same, _) | (_, Bound::Same) => Some(Bound::Same),
            (Bound::Any, narrower) | (narrower, Bound::Any) => Some(narrower),
            (Bound::Range { from, to }, Bound::Range { from: other_from, to: other_to }) => {
                let (from, to) = (from.max(other_from), to.min(other_to));
                (from <= to).then_some(Bound::Range { from, to })
            }
        }
    }
}

/// What a reviewer asks for, before it is held against the action and policy. What is not said stays the same, and as often
/// and long as policy allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// At most so many executions.
    pub uses: Option<u32>,
    /// For at most so many seconds.
    pub seconds: Option<u32>,
    /// How far values may vary, by their number, from 1 on.
    #[serde(default)]
    pub values: BTreeMap<u32, Bound>,
}

/// What a reviewer approved of a shape: a bound for each of its values, and limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// In the order of the values.
    pub bounds: Vec<Bound>,
    /// How often and for how long.
    pub limits: Limits,
}

/// Why a wish is no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// There is no such value.
    #[error("there is no value {0} in the statement")]
    NoSuchValue(u32),
    /// Only integers that stand alone have ranges.
    #[error("value {0} can have no range: it is no integer that stands by itself")]
    NoRange(u32),
    /// The reviewed value is outside, or the range is empty.
    #[error("the range of value {0} must hold the value that was reviewed")]
    Outside(u32),
    /// It may not be anything.
    #[error("value {0} cannot be let free: the statement calls functions, or it is no plain value")]
    NotFree(u32),
    /// More than policy allows.
    #[error("the policy allows at most {} uses within {} seconds, and at least one within one", .0.uses, .0.seconds)]
    Limits(Limits),
}

impl Choice {
    /// Holds a wish against what was reviewed and what policy allows.
    ///
    /// # Errors
    /// [`ChoiceError`]: what of it cannot be.
    pub fn new(shape: &Shape, wish: &Wish, most: Limits) -> Result<Self, ChoiceError> {
        let limits = Limits { uses: wish.uses.unwrap_or(most.uses), seconds: wish.seconds.unwrap_or(most.seconds) };
        if limits.stricter(most) != limits || limits.uses == 0 || limits.seconds == 0 {
            return Err(ChoiceError::Limits(most));
        }
        let mut bounds = vec![Bound::Same; shape.values.len()];
        for (number, bound) in &wish.values {
            let at = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
            let place = at.and_then(|at| bounds.get_mut(at).zip(shape.values.get(at)));
            let (place, value) = place.ok_or(ChoiceError::NoSuchValue(*number))?;
            possible(*number, value, bound)?;
            *place = *bound;
        }
        Ok(Self { bounds, limits })
    }

    /// What both choose: never more than either. `None` when they are of different shapes.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        if self.bounds.len() != other.bounds.len() {
            return None;
        }
        let bounds = self.bounds.iter().zip(&other.bounds).map(|(one, two)| one.meet(*two)).collect::<Option<_>>()?;
        Some(Self { bounds, limits: self.limits.stricter(other.limits) })
    }

    /// Whether these values are within its bounds.
    pub(super) fn admits(&self, reviewed: &[Value], values: &[Value]) -> bool {
        let pairs = reviewed.iter().zip(values).zip(&self.bounds);
        reviewed.len() == values.len()
            && reviewed.len() == self.bounds.len()
            && pairs
                .into_iter()
                .all(|((reviewed, value), bound)| reviewed.kind == value.kind && bound.admits(reviewed, value))
    }
}

fn possible(number: u32, value: &Value, bound: &Bound) -> Result<(), ChoiceError> {
    match bound {
        Bound::Same => Ok(()),
        Bound::Range { from, to } => match value.integer {
            None => Err(ChoiceError::NoRange(number)),
            Some(integer) if (*from..=*to).contains(&integer) => Ok(()),
            Some(_) => Err(ChoiceError::Outside(number)),
        },
        Bound::Any if value.free => Ok(()),
        Bound::Any => Err(ChoiceError::NotFree(number)),
    }
}

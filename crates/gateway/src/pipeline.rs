//! The straight line of one action: describe → decide → review → release → execute → record.
//!
//! [`run`] is the whole product in six steps. Every protocol walks it through [`Call`]; nothing else leads to an upstream,
//! because only [`release`] yields a [`Permit`] and a [`SealedPayload`] opens for nothing else. What is refused on the way
//! is recorded before it is answered. Streams, wire formats and waiting clients are the protocols' business.

mod alike;
mod instead;
mod outcomes;
mod refusals;
mod stricter;

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::impact::Impact;
use countersign_core::action::redact::Redacted;
use countersign_core::action::{ActionId, ActionRequest, ReviewId, SealedPayload};
use countersign_core::card::Card;
use countersign_core::grant::{self, Authority, Grant, Intent, Permit, RecordLevel, Recorder, ReleaseError};
use countersign_core::pattern::{Likeness, Offer, Unlike};
use countersign_core::policy::{Decision, Mask, MaskedColumn, Memo, Quorum, Terms};
use countersign_core::record::Event;
use countersign_core::review::{Closed, Matter, Review, Vote, tokens};
use uuid::{ContextV7, Uuid};

use crate::codes::Code;
use crate::gate::{Change, Gate, summary};
use crate::ports::{Ask, Asked, IntentError, JournalError, Receipt, Release, StoreError};
use crate::refusal::Refusal;
use crate::resolve::{self, Glass};
use crate::waiting::Turn;

pub use self::outcomes::Outcomes;
use self::refusals::{denied, left, outcome, still_open};

/// The largest integer that canonical JSON keeps exactly (RFC 8785 §3.2.2.3): 2^53 - 1.
const EXACT_INTEGER_MAX: u64 = (1 << 53) - 1;
/// How often one call may find that its approval was used by another before it gives up.
const TURNS_MAX: usize = 32;

thread_local! {
    /// Counts the ids of a millisecond; threads that shared one would wait for each other.
    static IDS: ContextV7 = const { ContextV7::new() };
}

/// The id of an attempt that begins now.
pub fn attempt() -> ActionId {
    ActionId::new(IDS.with(|ids| Uuid::new_v7(uuid::Timestamp::now(ids))).to_string())
}

/// One captured message, and the connection it came on.
pub trait Call: Send {
    /// What executing it yields to the protocol.
    type Done: Send;

    /// Describes what was captured.
    ///
    /// # Errors
    /// What cannot even be described is refused before it is an action.
    fn describe(&mut self, gate: &Gate) -> Result<ActionRequest, Refusal>;

    /// What its connection was permitted before.
    fn memo(&mut self) -> &mut Memo;

    /// What no policy can permit.
    ///
    /// # Errors
    /// It would take away the ground that descriptions stand on.
    fn permissible(&self) -> Result<(), Refusal>;

    /// What a card shows of it, and what that hides; asked only when somebody may look, and anew once it was measured.
    fn shown(&self) -> Redacted;

    /// The statement's shape: literals do not count.
    fn fingerprint(&self) -> String;

    /// What it looks like apart from its values; asked only where policy lets people approve the like of it.
    ///
    /// # Errors
    /// Nothing counts as the like of it.
    fn likeness(&mut self, request: &ActionRequest) -> impl Future<Output = Result<Likeness, Unlike>> + Send;

    /// Takes in what belongs to the action and follows it, such as a stream, before people are asked about it. True: it
    /// did, and the action has to be described again.
    ///
    /// # Errors
    /// It cannot be taken in, or the client took it back.
    fn gather(&mut self) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Sees to it that these columns are shown only as their masks say, whatever the action does. Asked again when the
    /// masks have changed, or people have taken their time.
    ///
    /// # Errors
    /// That cannot be kept; the action must not run then.
    fn mask(&mut self, masks: &BTreeMap<MaskedColumn, Mask>) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Whether it can wait at all.
    ///
    /// # Errors
    /// What cannot be bound before it runs cannot be reviewed, and is refused instead.
    fn reviewable(&mut self) -> Result<(), Refusal>;

    /// What it would do, measured; asked only when people are to decide.
    fn measure(&mut self) -> impl Future<Output = Impact> + Send;

    /// The most rows it may change, under the approval that it runs with.
    fn bound(&mut self, rows_max: Option<u64>);

    /// Tells the client where it hangs, at once.
    fn tell(&mut self, waiting: &Waiting) -> impl Future<Output = Result<(), Left>> + Send;

    /// Waits at most so many seconds, and not beyond the client's leaving or cancelling.
    fn hold<T: Send>(
        &mut self,
        wait: impl Future<Output = T> + Send,
        seconds: u32,
    ) -> impl Future<Output = Held<T>> + Send;

    /// Sends the payload to the upstream. The outcome, once known, goes to [`finish`]. No byte of the answer leaves before
    /// what it owes is paid.
    fn execute(
        &mut self,
        permit: Permit,
        payload: SealedPayload,
        owed: Option<Receipt>,
    ) -> impl Future<Output = Self::Done> + Send;
}

/// Where a client hangs.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The review.
    pub review: ReviewId,
    /// Where people decide.
    pub url: String,
    /// How long the call waits, in seconds.
    pub hold_seconds: u32,
    /// How long the review stays open, in seconds.
    pub expires_seconds: i64,
    /// What would suffice.
    pub suffices: Vec<BTreeSet<Quorum>>,
}

/// The client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left;

/// How a wait ended.
#[derive(Debug)]
pub enum Held<T> {
    /// What was waited for.
    Ready(T),
    /// The time ran out.
    TimedOut,
    /// The client left; nothing runs on its behalf.
    Left,
    /// The client cancelled.
    Cancelled,
}

/// The line.
///
/// # Errors
/// [`Refusal`], recorded already; nothing reached the upstream.
pub async fn run<C: Call>(gate: &Gate, call: &mut C) -> Result<C::Done, Refusal> {
    let mut request = call.describe(gate)?;
    let mut decision = {
        let (moment, none) = (gate.moment(), BTreeSet::new());
        moment.bundle.decide_again(&request, &moment.with(request.described(), &none), call.memo())
    };
    if !matches!(decision, Decision::Permit(_)) || !request.described().facts.effect_free() {
        request = request.showing(call.shown());
    }
    record_refusal(gate, &request, call.permissible()).await?;
    if matches!(decision, Decision::Review(_)) {
        let gathered = Box::pin(call.gather()).await;
        if record_refusal(gate, &request, gathered).await? {
            request = record_refusal(gate, &request, call.describe(gate)).await?.showing(call.shown());
            decision = decide(gate, &request, &BTreeSet::new());
        }
    }
    if matches!(decision, Decision::Review(_)) {
        request = request.measuring(Box::pin(call.measure()).await).showing(call.shown()); // what stands now was looked up
        decision = decide(gate, &request, &BTreeSet::new()); // policy may read what was measured
    }
    let masks = masks(&decision);
    if !masks.is_empty() {
        let masked = call.mask(&masks).await;
        record_refusal(gate, &request, masked).await?;
    }
    let admitted = admit(gate, call, &request, decision, masks).await;
    let (permit, owed) = record_refusal(gate, &request, admitted).await?;
    Ok(call.execute(permit, request.into_payload(), owed).await)
}

/// Asks people where policy wants them, and releases what they let through. Where others took the last use of its pattern in
/// between, it is asked about like what no pattern lets through.
async fn admit<C: Call>(
    gate: &Gate,
    call: &mut C,
    request: &ActionRequest,
    decision: Decision,
    masks: BTreeMap<MaskedColumn, Mask>,
) -> Result<(Permit, Option<Receipt>), Refusal> {
    let (mut decision, mut masks) = (decision, masks);
    for _ in 0..TURNS_MAX {
        let (authority, turn) = match decision {
            Decision::Permit(permitted) => (Authority::Policy(permitted), None),
            // in a box of its own: most actions are never reviewed
            Decision::Review(_) | Decision::Deny(_) => Box::pin(review(gate, call, request, decision)).await?,
        };
        let reviewed = !matches!(authority, Authority::Policy(_));
        if *authority.masks().columns() != masks || (reviewed && !masks.is_empty()) {
            masks = authority.masks().columns().clone();
            call.mask(&masks).await?;
        }
        let by_pattern = matches!(authority, Authority::Pattern(..));
        match release(gate, request, authority).await {
            Err(refusal) if by_pattern && refusal.code == Code::ApprovalVoid => {
                call.bound(None);
                decision = decide(gate, request, &BTreeSet::new());
            }
            released => {
                drop(turn); // what was waited for is taken
                return released;
            }
        }
    }
    Err(Refusal::new(Code::ApprovalVoid, "others used every approval first"))
}

/// What may not be shown as it is, should it run.
fn masks(decision: &Decision) -> BTreeMap<MaskedColumn, Mask> {
    match decision {
        Decision::Permit(permitted) => permitted.masks().columns().clone(),
        Decision::Review(terms) => terms.obligations.masks.clone(),
        Decision::Deny(_) => BTreeMap::new(),
    }
}

/// Asks policy, with these approvals, as things stand now.
pub(crate) fn decide(gate: &Gate, request: &ActionRequest, approvals: &BTreeSet<Quorum>) -> Decision {
    let moment = gate.moment();
    moment.bundle.decide(request.described(), &moment.with(request.described(), approvals))
}

/// Turns a decision into an authority to act, asking people when policy wants them.
async fn review<C: Call>(
    gate: &Gate,
    call: &mut C,
    request: &ActionRequest,
    decision: Decision,
) -> Result<(Authority, Option<Turn>), Refusal> {
    let mut decision = decision;
    let mut turn = None;
    for _ in 0..TURNS_MAX {
        let terms = match decision {
            Decision::Permit(permitted) => return Ok((Authority::Policy(permitted), None)),
            Decision::Deny(denial) => return Err(denied(gate, request, denial)),
            Decision::Review(terms) => terms,
        };
        call.reviewable()?;
        let likeness = alike::likeness(call, request, &terms).await;
        if let Some(Ok(like)) = &likeness
            && let Some((authority, rows_max)) = alike::authorize(gate, request, like, &terms).await?
        {
            call.bound(rows_max);
            return Ok((authority, turn));
        }
        let asked = ask(gate, call.fingerprint(), request, &terms, alike::offer(likeness.as_ref())).await?;
        let open = match asked {
            Asked::Granted(grant) => match authorize(gate, request, grant).await? {
                Some((authority, rows_max)) => {
                    call.bound(rows_max);
                    return Ok((authority, turn));
                }
                None => {
                    decision = decide(gate, request, &BTreeSet::new()); // it no longer holds and is revoked: ask anew
                    continue;
                }
            },
            Asked::Opened(review) => {
                gate.changes.tell(Change::Review);
                review
            }
            Asked::Joined(review) => review,
            Asked::RejectedRecently { review, until } => {
                let message = format!("the same was rejected a short while ago; it may be asked again at {until}");
                return Err(Refusal::new(Code::RejectedRecently, message).review(&review));
            }
            Asked::TooMany { limit } => {
                let message =
                    format!("{limit} reviews are open already; withdraw some, or wait for them to be decided");
                return Err(Refusal::new(Code::TooManyReviews, message));
            }
        };
        drop(turn.take()); // this call opened or joined another review: the next may look at the first
        turn = wait(gate, call, open, &terms).await?;
        decision = decide(gate, request, &BTreeSet::new());
    }
    Err(Refusal::new(Code::ApprovalVoid, "others used every approval first"))
}

/// Opens a review of an action, or finds what there is of one.
pub(crate) async fn ask(
    gate: &Gate,
    fingerprint: String,
    request: &ActionRequest,
    terms: &Terms,
    offer: Option<Offer>,
) -> Result<Asked, Refusal> {
    let (described, digest) = (request.described(), request.digest());
    let card = Card::new(described, digest, terms).digest();
    let card = card.map_err(|e| Refusal::new(Code::RecordUnavailable, e.to_string()))?;
    let opened_at = gate.scribe.now();
    let expires = terms.obligations.expires_seconds.unwrap_or(gate.config.waits.expires);
    let id = ReviewId::new(Uuid::now_v7().to_string());
    let expires_at = opened_at.plus_seconds(i64::from(expires));
    let event = Event::ReviewOpened {
        review: id.clone(),
        action: summary(described, digest),
        card,
        policies: terms.policies.iter().map(|note| note.id.clone()).collect(),
        suffices: terms.suffices.clone(),
        expires_at,
        bundle: terms.bundle,
    };
    let matter = Matter {
        id,
        action: digest,
        card,
        described: described.clone(),
        terms: terms.clone(),
        offer,
        opened_at,
        expires_at,
    };
    let asked = terms.suffices.iter().flatten().map(|quorum| quorum.group.as_str());
    let places = gate.config.places(&terms.obligations.channels, asked);
    let ask = Ask {
        matter,
        fingerprint,
        limits: gate.config.limits,
        places,
        hidden: request.values().clone(),
        record: gate.scribe.record(event),
    };
    gate.store.ask(ask).await.map_err(unrecorded)
}

/// Waits until the review closes. Ok means approved: the caller then looks for the grant.
async fn wait<C: Call>(gate: &Gate, call: &mut C, review: Review, terms: &Terms) -> Result<Option<Turn>, Refusal> {
    let waiting = waiting(gate, review.matter(), terms);
    drop(review); // thousands may wait, each for long
    let ticket = gate.waiting.join(&waiting.review);
    call.tell(&waiting).await.map_err(|Left| left(&waiting.review))?;
    if let Some(closed) = closed(gate, &waiting.review).await? {
        return outcome(gate, &closed).map(|()| None); // it closed before this call had its place
    }
    match call.hold(ticket.turn(), waiting.hold_seconds).await {
        Held::Ready(turn) => match closed(gate, &waiting.review).await? {
            Some(closed) => outcome(gate, &closed).map(|()| turn),
            None => Err(Refusal::new(Code::RecordUnavailable, "the gateway is stopping").review(&waiting.review)),
        },
        Held::TimedOut => Err(still_open(&waiting)),
        Held::Left => Err(left(&waiting.review)),
        Held::Cancelled => Err(Refusal::new(Code::Cancelled, "canceling statement due to user request")
            .hint("the review stays open; send the same again to wait for it, or withdraw it")
            .review(&waiting.review)),
    }
}

/// Where a call hangs that waits for this.
fn waiting(gate: &Gate, matter: &Matter, terms: &Terms) -> Waiting {
    let waits = &gate.config.waits;
    let hold = terms.obligations.hold_seconds.unwrap_or(waits.hold);
    let in_transaction = matter.described.session.in_transaction; // whose locks others wait for
    Waiting {
        review: matter.id.clone(),
        url: format!("{}/reviews/{}", gate.config.public_url, matter.id),
        hold_seconds: if in_transaction { hold.min(waits.hold_in_transaction) } else { hold },
        expires_seconds: matter.expires_at.seconds_since(gate.scribe.now()),
        suffices: matter.terms.suffices.clone(),
    }
}

async fn closed(gate: &Gate, id: &ReviewId) -> Result<Option<Closed>, Refusal> {
    match gate.store.review(id).await.map_err(unrecorded)? {
        Some(found) => match found.review {
            Review::Open(_) => Ok(None),
            Review::Closed(closed) => Ok(Some(closed)),
        },
        None => Err(Refusal::new(Code::ApprovalVoid, "the review is gone").review(id)),
    }
}

/// Decides again with the approvals behind a grant, each approver asked about freshly, under the stricter of the policy
/// in force when the review opened and the current one. `None` when it no longer holds; the grant is then revoked.
pub(crate) async fn authorize(
    gate: &Gate,
    request: &ActionRequest,
    grant: Grant,
) -> Result<Option<(Authority, Option<u64>)>, Refusal> {
    let review = gate.store.review(&grant.review).await.map_err(unrecorded)?;
    let Some(review) = review.map(|found| found.review) else {
        return revoke(gate, &grant, "its review is gone").await;
    };
    let moment = gate.moment();
    // independent of the side that was reviewed, and of the side that would run it: the same action may come by another
    let reviewed = &review.matter().described;
    let standing: Vec<Vote> = review
        .votes()
        .iter()
        .filter(|vote| resolve::meets(&moment, &review, request.described(), vote))
        .filter_map(|vote| resolve::standing(&moment, reviewed, vote))
        .filter_map(|vote| resolve::standing(&moment, request.described(), &vote))
        .collect();
    if reviewed.impact.objects.is_some() && reviewed.shown.replaces != request.described().shown.replaces {
        return revoke(gate, &grant, "it would change something else by now").await;
    }
    let mut approvals = tokens(&standing);
    let then = review.matter().terms.suffices.iter().any(|set| set.is_subset(&approvals));
    let broken = match resolve::glass(&moment, &review, &grant, request.described()) {
        Glass::Whole if !then => return revoke(gate, &grant, "an approver may no longer approve").await,
        Glass::Whole => false,
        Glass::Broken => {
            approvals = resolve::beside(&review, standing.clone());
            true
        }
        Glass::Void => return revoke(gate, &grant, "whoever broke the glass may no longer break it").await,
    };
    let rows_max = reviewed.impact.rows_max;
    match moment.bundle.decide(request.described(), &moment.with_glass(request.described(), &approvals, broken)) {
        Decision::Permit(permitted) => {
            let release =
                stricter::Release { review: &review, request: request.described(), standing: &standing, broken };
            match stricter::objection(gate, &release, &permitted).await? {
                Some(reason) => revoke(gate, &grant, reason).await,
                None => Ok(Some((Authority::Grant(permitted, grant), rows_max))),
            }
        }
        Decision::Deny(denial) => {
            revoke::<()>(gate, &grant, "policy now refuses it").await?;
            Err(Refusal::denied(denial))
        }
        Decision::Review(_) => revoke(gate, &grant, "policy now asks for more").await,
    }
}

pub(crate) async fn revoke<T>(gate: &Gate, grant: &Grant, reason: &str) -> Result<Option<T>, Refusal> {
    let event = Event::GrantRevoked { grant: grant.id.clone(), reason: reason.to_owned() };
    match gate.store.revoke_grant(&grant.id, vec![gate.scribe.record(event)]).await {
        Ok(()) | Err(StoreError::Conflict) => Ok(None),
        Err(error) => Err(unrecorded(error)),
    }
}

/// Records the intent, consumes the grant, and mints the permit.
pub(crate) async fn release(
    gate: &Gate,
    request: &ActionRequest,
    authority: Authority,
) -> Result<(Permit, Option<Receipt>), Refusal> {
    grant::release(request, authority, &IntentLog { gate }).await.map_err(|error| match error {
        ReleaseError::AnotherAction => Refusal::new(Code::ApprovalVoid, "the decision was made for another action"),
        ReleaseError::NotRecorded(IntentError::GrantSpent) => {
            Refusal::new(Code::ApprovalVoid, "the approval was used already, revoked, or has ended")
        }
        ReleaseError::NotRecorded(error) => unrecorded(error),
    })
}

/// The recorder behind [`release`]: reads go to the journal, everything else to the store.
struct IntentLog<'a> {
    gate: &'a Gate,
}

impl Recorder for IntentLog<'_> {
    type Error = IntentError;
    type Receipt = Option<Receipt>;

    async fn record(&self, intent: Intent<'_>) -> Result<Option<Receipt>, IntentError> {
        let (described, digest) = (intent.request.described(), intent.request.digest());
        let action = summary(described, digest);
        let scribe = &self.gate.scribe;
        let masks = intent.masks.iter().map(|id| (*id).to_owned()).collect();
        if intent.level == RecordLevel::Journal {
            let event = Event::ActionRead { action, bundle: intent.bundle, masks };
            return Ok(Some(self.gate.journal.stage(&scribe.record(event))?));
        }
        self.gate.log.health().map_err(|error| JournalError::Closed(error.to_string()))?;
        let mut records = Vec::with_capacity(2);
        if let Some(grant) = intent.grant {
            let event = Event::GrantConsumed { grant: grant.id.clone(), id: described.id.clone() };
            records.push(scribe.record(event));
        }
        if let Some(taken) = intent.pattern {
            let (pattern, id) = (taken.pattern().clone(), described.id.clone());
            records.push(scribe.record(Event::PatternUsed { pattern, number: 0, id })); // the store knows its number
        }
        let policies = intent.policies.iter().map(|id| (*id).to_owned()).collect();
        let broken_by = intent.grant.and_then(|grant| grant.broken_by.clone());
        let pattern = intent.pattern.map(|taken| taken.pattern().clone());
        let grant = intent.grant.map(|grant| grant.id.clone());
        let event = Event::ActionIntent { action, bundle: intent.bundle, policies, grant, broken_by, pattern, masks };
        records.push(scribe.record(event));
        match intent.pattern {
            Some(taken) => self.gate.store.begin_under(described, digest, taken, records).await?,
            None => self.gate.store.begin(described, digest, intent.grant, records).await?,
        }
        self.gate.changes.tell(Change::Action);
        Ok(None)
    }
}

/// Records what came of an action with effect. Reads leave no outcome. No byte of the answer leaves before what it owes is
/// paid.
///
/// # Errors
/// [`Refusal`] when it cannot be recorded: the answer must not be released, and the connection ends.
pub fn finish(
    gate: &Gate,
    action: &ActionId,
    level: RecordLevel,
    outcome: Outcomes,
) -> Result<Option<Receipt>, Refusal> {
    if level == RecordLevel::Journal {
        return Ok(None);
    }
    let (stream_bytes, stream_sha256) = outcome.stream.unzip();
    let event = Event::ActionOutcome {
        id: action.clone(),
        status: outcome.status,
        rows: outcome.rows.map(|rows| rows.min(EXACT_INTEGER_MAX)),
        stream_bytes,
        stream_sha256,
        micros: outcome.micros,
        error: outcome.error,
    };
    let owed = gate.journal.stage(&gate.scribe.record(event)).map_err(unrecorded)?;
    gate.changes.tell(Change::Action);
    Ok(Some(owed))
}

/// Pays what an answer owes to its record: returns once it may leave.
///
/// # Errors
/// [`Refusal`] when the record is lost: the answer must not leave, and the connection ends.
pub async fn pay(gate: &Gate, owed: Receipt) -> Result<(), Refusal> {
    match gate.journal.release(owed).map_err(unrecorded)? {
        Release::Now => Ok(()),
        Release::AfterSync => gate.journal.synced(owed).await.map_err(unrecorded),
    }
}

/// Records a refusal before it is answered. When even that fails, the answer says so.
pub(crate) async fn record_refusal<T>(
    gate: &Gate,
    request: &ActionRequest,
    result: Result<T, Refusal>,
) -> Result<T, Refusal> {
    let refusal = match result {
        Ok(value) => return Ok(value),
        Err(refusal) => refusal,
    };
    let (described, digest) = (request.described(), request.digest());
    let event = Event::ActionRefused {
        action: summary(described, digest),
        code: refusal.code.name().to_owned(),
        policies: refusal.policies.iter().map(|note| note.id.clone()).collect(),
    };
    let recorded = gate.store.refuse(described, digest, refusal.code.name(), gate.scribe.record(event)).await;
    gate.changes.tell(Change::Action);
    Err(match recorded {
        Ok(()) => refusal,
        Err(error) => unrecorded(error),
    })
}

pub(crate) fn unrecorded(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::RecordUnavailable, format!("refused, because it cannot be recorded: {error}"))
        .hint("see the gateway's log; nothing was sent to the upstream")
}

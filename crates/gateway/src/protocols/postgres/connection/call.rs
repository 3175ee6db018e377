//! One message of a connection on its way down the line: PostgreSQL's [`Call`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::action::impact::Impact;
use countersign_core::action::redact::Redacted;
use countersign_core::action::sql::{SqlClass, SqlStatement};
use countersign_core::action::{ActionDigest, ActionRequest, SealedPayload};
use countersign_core::grant::{Permit, RecordLevel};
use countersign_core::pattern::{Likeness, Unlike};
use countersign_core::policy::{Mask, MaskedColumn, Memo};
use countersign_core::record::Status;

use super::{Connection, End, Portal};
use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline::{self, Call, Held, Left, Outcomes, Waiting};
use crate::ports::Receipt;
use crate::protocols::postgres::capture::{Captured, portal_tail};
use crate::protocols::postgres::catalog;
use crate::protocols::postgres::copy;
use crate::protocols::postgres::duplex::Event;
use crate::protocols::postgres::impact::{self, Change};
use crate::protocols::postgres::likeness;
use crate::protocols::postgres::mask::{Columns, Plan};
use crate::protocols::postgres::refuse;
use crate::protocols::postgres::session::{Expected, Running};
use crate::protocols::postgres::wire::WireError;
use crate::protocols::postgres::wire::frontend::{self, BindNames};
use crate::protocols::postgres::wire::notice::Notice;
use crate::refusal::Refusal;

/// How far a waiting client may send ahead.
const HELD_INPUT_BYTES_MAX: usize = 1 << 20;
/// How long a client may take to read the notice that it waits.
const TELL_TIME_MAX: Duration = Duration::from_secs(10);
/// Portals of one session.
const PORTALS_MAX: usize = 10_000;

impl Connection {
    /// Walks the line. The inner error is what the client is told.
    pub(super) async fn walk(&mut self, captured: Captured) -> Result<Result<(), Notice>, End> {
        let gate = self.gate.clone();
        let parse_error = captured.description().parse_error.clone();
        let mut call = PgCall {
            connection: self,
            captured,
            digest: None,
            rows_max: None,
            reviewed: false,
            plan: None,
            standing: None,
            end: None,
        };
        let result = pipeline::run(&gate, &mut call).await;
        if let Some(end) = call.end {
            return Err(end);
        }
        let refusal = match result {
            Ok(Ok(())) => return Ok(Ok(())),
            Ok(Err(refusal)) | Err(refusal) => refusal,
        };
        Ok(Err(match parse_error {
            Some(error) if refusal.code == Code::PolicyDenied => {
                let error = error.trim_start_matches("Invalid statement: ").to_owned();
                refuse::notice(&Refusal { code: Code::Unparsed, message: error, ..refusal })
            }
            _ => refuse::notice(&refusal),
        }))
    }

    pub(super) fn send(
        &mut self,
        captured: &Captured,
        payload: &[u8],
        running: Option<Running>,
        rows_max: Option<u64>,
    ) -> Result<(), WireError> {
        let Some(upstream) = &mut self.upstream else { return Err(WireError::BadValue("upstream")) };
        match captured {
            Captured::Query { sql, meaning, spool, .. } => {
                let text = match spool {
                    Some(_) => copy::open(payload).ok_or(WireError::BadValue("payload"))?.0,
                    None => std::str::from_utf8(payload).map_err(|_| WireError::NotUtf8("query"))?,
                };
                frontend::query(&mut upstream.output, text)?;
                let (sql, description) = (sql.clone(), meaning.description.clone());
                self.session.sent(Expected::Query { running, description: description.clone(), sql });
                if spool.is_some() {
                    self.session.feeds();
                }
                self.open_block(&description)?;
            }
            Captured::Portal { bind, prepared, meaning, .. } => {
                let tail = portal_tail(payload).ok_or(WireError::BadValue("payload"))?;
                let names = BindNames { portal: &bind.portal, statement: &bind.statement };
                frontend::bind(&mut upstream.output, names, tail)?;
                self.session.sent(Expected::Bind { portal: bind.portal.clone() });
                let statement = meaning.description.facts.statements.first();
                let effect = meaning.description.effects.first();
                let disturbance = statement.map(|of| catalog::disturbance(of, effect)).unwrap_or_default();
                let prepared = prepared.clone();
                let changes = meaning.description.facts.class > SqlClass::Read;
                let portal = Portal { running, prepared, disturbance, rows_max, changes, finished: false, mask: None };
                if let Some(replaced) = self.portals.insert(bind.portal.clone(), portal) {
                    self.never_ran(replaced);
                }
            }
            Captured::Function { prepared, meaning, .. } => {
                let body = portal_tail(payload).ok_or(WireError::BadValue("payload"))?;
                frontend::function_call_sealed(&mut upstream.output, body)?;
                let (sql, description) = (prepared.sql.clone(), meaning.description.clone());
                self.session.sent(Expected::Query { running, description, sql }); // answered in the same way
            }
        }
        Ok(())
    }
}

/// One message of a connection on its way down the line.
struct PgCall<'a> {
    connection: &'a mut Connection,
    captured: Captured,
    digest: Option<ActionDigest>,
    /// The most rows it may change.
    rows_max: Option<u64>,
    /// Whether people were asked, so that time has passed since it was described.
    reviewed: bool,
    /// How its rows are shown, if not as they are.
    plan: Option<Arc<Plan>>,
    /// The body of the routine that it would replace.
    standing: Option<String>,
    /// Why the connection is over, if it is.
    end: Option<End>,
}

impl PgCall<'_> {
    /// Sends the payload. An error means that nothing of it was.
    async fn dispatch(&mut self, bytes: &[u8], running: Option<Running>) -> Result<(), Refusal> {
        if let Captured::Query { spool: Some(spool), .. } = &mut self.captured {
            let approved = copy::open(bytes).map(|(_, approved)| approved);
            let approved = approved.ok_or_else(|| Refusal::new(Code::ApprovalVoid, "nothing was taken in"))?;
            let same = spool.check(&approved).await;
            same.map_err(|error| Refusal::new(Code::ApprovalVoid, error.to_string()))?;
        }
        self.ready().await?;
        let violation = |error: WireError| Refusal::new(Code::ProtocolViolation, error.to_string());
        let query = matches!(self.captured, Captured::Query { .. });
        match &self.captured {
            Captured::Query { .. } => self.connection.show_simple(self.plan.clone()),
            Captured::Function { .. } if self.plan.is_some() => {
                return Err(Refusal::new(Code::MaskImpossible, "the result of a function call cannot be masked"));
            }
            Captured::Function { .. } => self.connection.show_simple(None),
            Captured::Portal { .. } => {}
        }
        let rows_max = self.rows_max;
        let own = match rows_max.filter(|_| query) {
            Some(_) => self.connection.begin_bounded().map_err(violation)?,
            None => false,
        };
        let replaced = self.replaces();
        self.connection.send(&self.captured, bytes, running, rows_max).map_err(violation)?;
        if let Some(rows_max) = rows_max.filter(|_| query)
            && let Err(end) = self.connection.end_bounded_query(own, rows_max).await
        {
            self.end = Some(end);
            return Ok(());
        }
        self.describe_masked().await?;
        match replaced {
            Some(mask) => self.keep_masked(mask).await,
            None => Ok(()),
        }
    }

    /// A masked portal is executed only once the server has described what was proved.
    async fn describe_masked(&mut self) -> Result<(), Refusal> {
        let (Captured::Portal { bind, .. }, Some(plan)) = (&self.captured, &self.plan) else { return Ok(()) };
        let name = bind.portal.clone();
        match self.connection.columns_of(&name, plan).await {
            Ok(Ok(Some(columns))) => {
                if let Some(portal) = self.connection.portals.get_mut(&name) {
                    portal.mask = Some(Arc::new(columns));
                }
                Ok(())
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(refusal)) => {
                self.connection.portals.remove(&name); // its outcome is recorded with the refusal
                Err(refusal)
            }
            Err(end) => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// The mask of the portal that this one would replace.
    fn replaces(&self) -> Option<Arc<Columns>> {
        match &self.captured {
            Captured::Portal { bind, .. } => self.connection.portals.get(&bind.portal)?.mask.clone(),
            Captured::Query { .. } | Captured::Function { .. } => None,
        }
    }

    /// A `Bind` that fails may leave the portal that was there: after `ROLLBACK TO` it can be executed again.
    async fn keep_masked(&mut self, mask: Arc<Columns>) -> Result<(), Refusal> {
        let settled = self.connection.settle().await;
        if settled.is_ok() && !self.connection.session.skipping {
            return Ok(());
        }
        if let Captured::Portal { bind, .. } = &self.captured
            && let Some(portal) = self.connection.portals.get_mut(&bind.portal)
        {
            portal.mask = Some(mask);
        }
        if let Err(end) = settled {
            self.end = Some(end);
        }
        Ok(())
    }

    /// Its only statement, where the effect of one can be measured, and where the session looks for names.
    fn measurable(&self) -> Option<&SqlStatement> {
        match self.captured.description().facts.statements.as_slice() {
            [statement] => Some(statement),
            _ => None,
        }
    }

    async fn measured(&mut self) -> Result<Impact, End> {
        if self.measurable().is_none() {
            return Ok(Impact::unknown("several statements in one message"));
        }
        let Some(scope) = self.connection.shared_scope().await? else {
            return Ok(Impact::unknown("the session has temporary objects, or changed definitions"));
        };
        let target = self.connection.target.clone();
        let mut aside = target.catalog.plans.lock().await;
        if let Some(routine) = self.captured.replacement() {
            let sought = (&*scope.path, routine.signature.as_str());
            self.standing = impact::standing(&mut aside, &target, &*self.connection.gate.vault, sought).await;
        }
        let Some(statement) = self.measurable() else { return Ok(Impact::default()) };
        let bind = match &self.captured {
            Captured::Portal { bind, prepared, .. } => Some((bind, prepared.declared.as_slice())),
            Captured::Query { .. } | Captured::Function { .. } => None,
        };
        let change = Change { sql: self.captured.sql(), statement, bind, path: &scope.path };
        let mut impact = impact::measure(&mut aside, &target, &*self.connection.gate.vault, &change).await;
        impact.cascades.clone_from(&self.captured.meaning().carried);
        Ok(impact)
    }

    /// Connects, sees that what was reviewed is still what the names say, holds the session to what was decided, and sends
    /// what was put off.
    async fn ready(&mut self) -> Result<(), Refusal> {
        self.connection.connect().await?;
        self.connection.cancelled().await;
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(end) => {
                self.end = Some(end);
                Err(Refusal::new(Code::UpstreamUnavailable, "the connection ended"))
            }
        };
        prepared?;
        self.connection.send_deferred()
    }

    async fn prepare(&mut self) -> Result<Result<(), Refusal>, End> {
        if self.reviewed {
            let now = match self.connection.meaning_anew(&self.captured.described().clone()).await? {
                Ok(now) => now,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Some(change) = self.captured.meaning().change(&now) {
                let message = format!("the names in it no longer mean what was reviewed: {change}");
                return Ok(Err(Refusal::new(Code::ApprovalVoid, message).hint("send it again for another review")));
            }
        }
        if let Some(rows_max) = self.rows_max {
            let now = self.measured().await?;
            if now.rows.is_some_and(|rows| rows > rows_max) {
                let rows = now.rows.unwrap_or_default();
                let message =
                    format!("it would change about {rows} rows by now, and was approved for at most {rows_max}");
                return Ok(Err(Refusal::new(Code::ApprovalVoid, message).hint("send it again for another review")));
            }
        }
        self.connection.hold(&self.captured).await
    }
}

impl Call for PgCall<'_> {
    type Done = Result<(), Refusal>;

    fn describe(&mut self, gate: &Gate) -> Result<ActionRequest, Refusal> {
        if self.connection.portals.len() >= PORTALS_MAX {
            return Err(Refusal::new(Code::TooLarge, "too many open portals; close some"));
        }
        let request = self.captured.describe(
            &self.connection.subject,
            &self.connection.session,
            &gate.scribe,
            &mut self.connection.before,
        )?;
        self.digest = Some(request.digest());
        Ok(request)
    }

    fn memo(&mut self) -> &mut Memo {
        &mut self.connection.memo
    }

    fn permissible(&self) -> Result<(), Refusal> {
        let now = self.connection.gate.scribe.now();
        if self.connection.subject.until.is_some_and(|until| until <= now) {
            let refusal = Refusal::new(Code::Unauthenticated, "the key that this session logged in with has ended");
            return Err(refusal.hint("connect again with a new key"));
        }
        self.captured.check()
    }

    fn shown(&self) -> Redacted {
        let Connection { session, target, subject, .. } = &*self.connection;
        self.captured.shown(session, &target.rules, (subject.stated_reason.as_deref(), self.standing.as_deref()))
    }

    fn fingerprint(&self) -> String {
        self.captured.fingerprint(&self.connection.subject.target.name)
    }

    async fn likeness(&mut self, request: &ActionRequest) -> Result<Likeness, Unlike> {
        match self.connection.shared_scope().await {
            Ok(Some(_)) => Likeness::of(request, likeness::skeleton(&self.captured, &self.connection.target.rules)?),
            Ok(None) => Err(Unlike::Session),
            Err(end) => {
                self.end = Some(end);
                Err(Unlike::Session)
            }
        }
    }

    async fn gather(&mut self) -> Result<bool, Refusal> {
        let Some(copy) = self.captured.stream_in()?.cloned() else { return Ok(false) };
        let fields = copy.filled(&self.captured.meaning().columns).len();
        match self.connection.take_in(copy, fields).await {
            Ok(spool) => self.captured.attach(spool?),
            Err(end) => {
                self.end = Some(end);
                return Err(Refusal::new(Code::Cancelled, "the client left while its data was taken in"));
            }
        }
        Ok(true)
    }

    async fn mask(&mut self, masks: &BTreeMap<MaskedColumn, Mask>) -> Result<(), Refusal> {
        self.plan = None;
        if masks.is_empty() {
            return Ok(());
        }
        match self.connection.judge(&self.captured, masks).await {
            Ok(judged) => self.plan = judged?,
            Err(end) => {
                self.end = Some(end);
                return Err(Refusal::new(Code::Cancelled, "the connection ended while the catalog was asked"));
            }
        }
        Ok(())
    }

    fn reviewable(&mut self) -> Result<(), Refusal> {
        self.reviewed = true;
        self.captured.check_reviewable()
    }

    async fn measure(&mut self) -> Impact {
        match self.measured().await {
            Ok(impact) => impact,
            Err(end) => {
                self.end = Some(end);
                Impact::unknown("the connection ended")
            }
        }
    }

    fn bound(&mut self, rows_max: Option<u64>) {
        self.rows_max = rows_max;
    }

    async fn tell(&mut self, waiting: &Waiting) -> Result<(), Left> {
        if let Err(end) = self.connection.settle().await {
            self.end = Some(end);
            return Err(Left);
        }
        if self.connection.session.skipping {
            return Err(Left); // an earlier failure of the batch: this is not done at all
        }
        refuse::waiting(waiting).put_notice(&mut self.connection.client.output);
        let told = async {
            loop {
                match self.connection.event(HELD_INPUT_BYTES_MAX, true).await {
                    Ok(Event::Drained) => return Ok(()),
                    event => self.connection.on(event)?,
                }
            }
        };
        let told = tokio::time::timeout(TELL_TIME_MAX, told).await.unwrap_or(Err(End::Left));
        told.map_err(|end| {
            self.end = Some(end);
            Left
        })
    }

    async fn hold<T: Send>(&mut self, wait: impl Future<Output = T> + Send, seconds: u32) -> Held<T> {
        let mut wait = std::pin::pin!(wait);
        let mut end = std::pin::pin!(tokio::time::sleep(Duration::from_secs(u64::from(seconds))));
        let cancel = self.connection.cancel.clone();
        loop {
            tokio::select! {
                biased;
                event = self.connection.event(HELD_INPUT_BYTES_MAX, false) => {
                    if let Err(end) = self.connection.on(event) {
                        self.end = Some(end);
                        return Held::Left;
                    }
                }
                () = cancel.raised() => {
                    cancel.answered();
                    return Held::Cancelled;
                }
                value = &mut wait => return Held::Ready(value),
                () = &mut end => return Held::TimedOut,
            }
        }
    }

    async fn execute(&mut self, permit: Permit, payload: SealedPayload, owed: Option<Receipt>) -> Result<(), Refusal> {
        self.connection.owe(owed);
        let (id, level) = (permit.action().clone(), permit.level());
        let digest = self.digest.take().ok_or_else(|| Refusal::new(Code::ApprovalVoid, "nothing was described"))?;
        let sent = match payload.open(permit) {
            Ok(bytes) => {
                let running = Running { id: id.clone(), level, digest, started: Instant::now() };
                self.dispatch(&bytes, (level == RecordLevel::Durable).then_some(running)).await
            }
            Err(error) => Err(Refusal::new(Code::ApprovalVoid, error.to_string())),
        };
        if sent.is_err() {
            let outcome = Outcomes { status: Status::NotExecuted, rows: None, stream: None, micros: 0, error: None };
            let owed = pipeline::finish(&self.connection.gate, &id, level, outcome)?;
            self.connection.owe(owed);
            return sent;
        }
        if let Captured::Query { spool: Some(spool), .. } = &mut self.captured
            && let Err(end) = self.connection.feed(spool).await
        {
            self.end = Some(end); // what came of it is told when the session's end is recorded
        }
        sent
    }
}

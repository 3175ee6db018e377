//! The client's messages: each is forwarded, walks the line, or is refused in its place of the stream.

use std::sync::Arc;

use countersign_core::action::sql::SqlClass;

use super::{Connection, Deferred, End, fatal};
use crate::codes::Code;
use crate::protocols::postgres::capture::Captured;
use crate::protocols::postgres::catalog::Disturbance;
use crate::protocols::postgres::describe::Effect;
use crate::protocols::postgres::session::{self, DECOY_QUERY, Expected, Prepared};
use crate::protocols::postgres::wire::frame::Frame;
use crate::protocols::postgres::wire::frontend::{
    self, Bind, BindNames, Execute, FunctionCall, Message, Parse, Target,
};
use crate::protocols::postgres::wire::notice::{Notice, SqlState};
use crate::protocols::postgres::wire::{TransactionStatus, backend};
use crate::protocols::postgres::{function, refuse, settings};
use crate::refusal::Refusal;

/// The longest name of a statement or portal. The server tells names apart by so many bytes (`NAMEDATALEN - 1`).
const NAME_BYTES_MAX: usize = 63;

/// The names in a message.
fn names(message: &Message) -> Vec<&str> {
    match message {
        Message::Parse(parse) => vec![&parse.name],
        Message::Bind(bind) => vec![&bind.portal, &bind.statement],
        Message::Execute(execute) => vec![&execute.portal],
        Message::Describe(Target::Statement(name) | Target::Portal(name))
        | Message::Close(Target::Statement(name) | Target::Portal(name)) => vec![name],
        _ => vec![],
    }
}

impl Connection {
    pub(super) async fn take(&mut self, frame: Frame) -> Result<(), End> {
        tracing::trace!(kind = %frame.kind.escape_ascii(), bytes = frame.body.len(), "client");
        if self.session.streaming_in() && !matches!(frame.kind, b'd' | b'c' | b'f' | b'H' | b'S' | b'X') {
            return Err(fatal(&Refusal::new(Code::ProtocolViolation, "another message inside a COPY stream")));
        }
        if matches!(frame.kind, b'd' | b'c' | b'f') {
            return self.stream(&frame).await;
        }
        let message = Message::decode(frame)?;
        if self.session.skipping && !matches!(message, Message::Sync | Message::Terminate) {
            return Ok(());
        }
        if let Some(name) = names(&message).into_iter().find(|name| name.len() > NAME_BYTES_MAX) {
            let message = format!("the name `{name}` is longer than {NAME_BYTES_MAX} bytes");
            return self.refuse_extended(refuse::notice(&Refusal::new(Code::TooLarge, message))).await;
        }
        match message {
            Message::Query(query) => self.query(query.sql).await,
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Execute(execute) => self.execute(execute).await,
            Message::Describe(target) => self.describe(&target).await,
            Message::Close(target) => self.close(&target).await,
            Message::Sync => self.sync().await,
            Message::Flush => self.flush().await,
            Message::FunctionCall(call) => self.function_call(&call).await,
            Message::Terminate => Err(End::Left),
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()), // taken above
        }
    }

    /// COPY data: forwarded while the server asks for it, dropped otherwise as the server would. A client may send it
    /// before it has seen that the server asks, so what is outstanding is waited for first.
    pub(super) async fn stream(&mut self, frame: &Frame) -> Result<(), End> {
        if !self.session.streaming_in() {
            self.settle_or_stream().await?;
        }
        if !self.session.streaming_in() {
            return Ok(());
        }
        if frame.kind == b'd' {
            self.session.streamed(&frame.body);
        }
        if let Some(upstream) = &mut self.upstream {
            frame.write(&mut upstream.output);
        }
        if frame.kind != b'd' {
            self.session.stream_closed();
        }
        Ok(())
    }

    pub(super) async fn query(&mut self, sql: String) -> Result<(), End> {
        if !self.deferred.is_empty()
            && let Err(refusal) = self.reach().await
        {
            return self.refuse_simple(refuse::notice(&refusal));
        }
        self.settle().await?;
        if self.session.skipping {
            return Ok(());
        }
        let description = self.describer.describe(&sql, &self.session).await;
        let meaning = match self.meaning(&description).await? {
            Ok(meaning) => meaning,
            Err(refusal) => return self.refuse_simple(refuse::notice(&refusal)),
        };
        let computes_names = settings::computes_names(&description);
        self.line(Captured::Query { sql: sql.into(), description, meaning, spool: None }).await?;
        if computes_names {
            self.settle().await?; // a setting that changes how text is read ends the session before more is read
        }
        Ok(())
    }

    /// What makes the server ready by itself: refused at once, or down the line.
    async fn line(&mut self, captured: Captured) -> Result<(), End> {
        let answered = captured.ends_failed_transaction() || captured.is_empty();
        if self.session.status() == TransactionStatus::Failed && !answered {
            session::aborted().put_error(&mut self.client.output);
            backend::ready_for_query(&mut self.client.output, TransactionStatus::Failed);
            return Ok(());
        }
        if let Err(refusal) = self.names_are_free(&captured) {
            return self.refuse_simple(refuse::notice(&refusal));
        }
        match self.walk(captured).await? {
            Ok(()) => Ok(()),
            Err(notice) => self.refuse_simple(notice),
        }
    }

    /// SQL and the extended protocol share the names of portals and statements. A portal that was decided on must not be
    /// run, closed or replaced under its name by SQL; and there is a bound on prepared statements of either kind.
    fn names_are_free(&self, captured: &Captured) -> Result<(), Refusal> {
        let effects = &captured.description().effects;
        let touched = effects.iter().any(|effect| match effect {
            Effect::Fetch { name } | Effect::DeclareCursor { name, .. } | Effect::CloseCursor { name: Some(name) } => {
                self.portals.contains_key(name)
            }
            Effect::CloseCursor { name: None } => self.portals.keys().any(|name| !name.is_empty()),
            _ => false,
        });
        if touched {
            let message = "this names a portal of the extended protocol, which SQL does not reach through the gateway";
            return Err(Refusal::new(Code::Unsupported, message).hint("close the portal first"));
        }
        let prepares = effects.iter().filter(|effect| matches!(effect, Effect::Prepare { .. })).count();
        if prepares + self.session.prepared_count() > session::PREPARED_MAX {
            return Err(Refusal::new(Code::TooLarge, "too many prepared statements; deallocate some"));
        }
        Ok(())
    }

    /// A function-call message: answered as a `Query` is, so it takes its way.
    pub(super) async fn function_call(&mut self, call: &FunctionCall) -> Result<(), End> {
        if !self.deferred.is_empty()
            && let Err(refusal) = self.reach().await
        {
            return self.refuse_simple(refuse::notice(&refusal));
        }
        self.settle().await?;
        if self.session.skipping {
            return Ok(());
        }
        let Some((prepared, bind)) = function::as_select(call) else {
            let message = "the function-call message is supported for the functions of large objects only";
            let refusal = Refusal::new(Code::Unsupported, message).hint("call the function in a SELECT");
            return self.refuse_simple(refuse::notice(&refusal));
        };
        let description = prepared.description.clone();
        let meaning = match self.meaning(&description).await? {
            Ok(meaning) => meaning,
            Err(refusal) => return self.refuse_simple(refuse::notice(&refusal)),
        };
        self.line(Captured::Function { bind, prepared, description, meaning }).await
    }

    pub(super) async fn parse(&mut self, parse: Parse) -> Result<(), End> {
        if self.session.prepared_count() + self.deferred.len() >= session::PREPARED_MAX {
            let refusal = Refusal::new(Code::TooLarge, "too many prepared statements; close some");
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if parse.sql.len() > session::LARGE_BYTES {
            let deferred: usize = self.deferred.iter().map(|deferred| deferred.parse.sql.len()).sum();
            if deferred + self.session.large_bytes() + parse.sql.len() > session::LARGE_BYTES_MAX {
                let refusal = Refusal::new(Code::TooLarge, "the prepared statements are too large; close some");
                return self.refuse_extended(refuse::notice(&refusal)).await;
            }
        }
        let known = self.session.uncertain() || self.session.statement(&parse.name).is_some();
        if !parse.name.is_empty() && known {
            self.settle().await?; // whether the name is free decides which text will stand under it
            if self.session.skipping {
                return Ok(());
            }
        }
        let description = self.describer.describe(&parse.sql, &self.session).await;
        let (declared, types) = (parse.types.clone(), parse.types.clone());
        let prepared = Prepared { sql: parse.sql.as_str().into(), part: String::new(), declared, types, description };
        self.deferred.push(Deferred { parse, prepared: Arc::new(prepared) });
        Ok(())
    }

    /// The statement that a `Bind` would use: one that was put off, or one that the server holds.
    fn statement(&self, name: &str) -> Option<Arc<Prepared>> {
        let deferred = self.deferred.iter().rev().find(|deferred| deferred.parse.name == name);
        deferred.map(|deferred| deferred.prepared.clone()).or_else(|| self.session.statement(name))
    }

    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), End> {
        if self.session.uncertain() && !self.deferred.iter().any(|deferred| deferred.parse.name == bind.statement) {
            self.settle().await?; // which text stands under the name is known only then
            if self.session.skipping {
                return Ok(());
            }
        }
        let Some(prepared) = self.statement(&bind.statement) else {
            let state = SqlState::new("26000").unwrap_or(SqlState::INTERNAL_ERROR);
            let notice = Notice::error(state, format!("prepared statement \"{}\" does not exist", bind.statement));
            return self.refuse_extended(notice).await;
        };
        let executes = prepared.description.effects.iter().any(|effect| matches!(effect, Effect::Execute { .. }));
        let description = if executes {
            self.describer.describe(&prepared.sql, &self.session).await // what it executes may have changed since
        } else {
            prepared.description.clone()
        };
        let meaning = match self.meaning(&description).await? {
            Ok(meaning) => meaning,
            Err(_) if self.session.status() == TransactionStatus::Failed => {
                return self.refuse_extended(session::aborted()).await;
            }
            Err(refusal) => return self.refuse_extended(refuse::notice(&refusal)).await,
        };
        if self.session.skipping {
            return Ok(());
        }
        let captured = Captured::Portal { bind, prepared, description, meaning };
        let effect_free = captured.description().facts.class <= SqlClass::Session;
        if !effect_free {
            self.settle().await?; // an earlier failure of the batch means that this one is not done at all
            if self.session.skipping {
                return Ok(());
            }
            self.let_go().await?;
        }
        if self.session.status() == TransactionStatus::Failed && !captured.ends_failed_transaction() {
            return self.refuse_extended(session::aborted()).await;
        }
        if let Err(refusal) = self.names_are_free(&captured) {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        match self.walk(captured).await? {
            Ok(()) => Ok(()),
            Err(_) if self.session.skipping => Ok(()),
            Err(notice) => self.refuse_extended(notice).await,
        }
    }

    /// Ends the server's own transaction around what was only prepared: its locks must not wait for people.
    async fn let_go(&mut self) -> Result<(), End> {
        if self.session.batch_only_prepares()
            && let Some(upstream) = &mut self.upstream
        {
            frontend::sync(&mut upstream.output);
            self.session.sent(Expected::OwnSync);
            self.settle().await?;
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, execute: Execute) -> Result<(), End> {
        if let Err(refusal) = self.reach().await {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if self.portals.get(&execute.portal).is_some_and(|portal| portal.changes) {
            self.leave()?; // a read may have been bound since
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::execute(&mut upstream.output, &execute)?;
        }
        let portal = self.portals.get_mut(&execute.portal);
        let rows_max = portal.as_ref().and_then(|portal| portal.rows_max);
        if rows_max.is_some() {
            self.session.keep_end();
        }
        let (running, prepared, disturbance, mask) = match portal {
            Some(portal) => {
                portal.finished = execute.max_rows == 0;
                (portal.running.take(), Some(portal.prepared.clone()), portal.disturbance, portal.mask.clone())
            }
            // a cursor of an earlier DECLARE, or nothing: the server says so
            None => (None, None, Disturbance::default(), None),
        };
        let begun = prepared.as_ref().map(|prepared| prepared.description.clone());
        self.masking.on |= mask.is_some();
        self.session.sent(Expected::Execute { running, prepared, disturbance, mask });
        if let Some(begun) = begun {
            self.open_block(&begun)?;
        }
        if let Some(rows_max) = rows_max {
            self.end_bounded_portal(rows_max).await?;
        }
        Ok(())
    }

    pub(super) async fn describe(&mut self, target: &Target) -> Result<(), End> {
        if let Err(refusal) = self.reach().await {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::describe(&mut upstream.output, target)?;
        }
        self.session.sent(match target {
            Target::Statement(name) => Expected::DescribeStatement { name: name.clone() },
            Target::Portal(_) => Expected::DescribePortal,
        });
        Ok(())
    }

    pub(super) async fn close(&mut self, target: &Target) -> Result<(), End> {
        if self.session.uncertain_by_sql() {
            self.settle().await?; // what SQL prepares under the name is closed only if it is there by then
            if self.session.skipping {
                return Ok(());
            }
        }
        if !self.deferred.is_empty()
            && let Err(refusal) = self.reach().await
        {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if let Target::Portal(name) = target
            && self.portals.get(name).is_some_and(|portal| portal.mask.is_some())
        {
            self.settle().await?; // a failure before it leaves the portal open, and its rows masked
            if self.session.skipping {
                return Ok(());
            }
        }
        let Some(upstream) = &mut self.upstream else {
            backend::empty(&mut self.client.output, backend::Empty::CloseComplete);
            return Ok(());
        };
        frontend::close(&mut upstream.output, target)?;
        match target {
            Target::Statement(name) => self.session.close_sent(Some(name)),
            Target::Portal(name) => {
                self.session.close_sent(None);
                if let Some(portal) = self.portals.remove(name) {
                    self.never_ran(portal);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if !self.deferred.is_empty()
            && let Err(refusal) = self.reach().await
        {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::flush(&mut upstream.output);
        }
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Result<(), End> {
        if self.session.skipping {
            self.deferred.clear(); // taken before the failure was heard: the server skips it
        }
        if !self.deferred.is_empty()
            && let Err(refusal) = self.reach().await
        {
            self.refuse_extended(refuse::notice(&refusal)).await?;
        }
        self.session.skipping = false;
        match &mut self.upstream {
            Some(upstream) => {
                frontend::sync(&mut upstream.output);
                if !self.session.streaming_in() {
                    self.session.sent(Expected::Sync); // inside a stream the server ignores it
                    self.hold.batch_ends();
                }
            }
            None => backend::ready_for_query(&mut self.client.output, TransactionStatus::Idle),
        }
        Ok(())
    }

    /// Answers a refused `Query`. Inside a transaction the server must fail too, so a decoy goes in its place.
    pub(super) fn refuse_simple(&mut self, notice: Notice) -> Result<(), End> {
        let inside = self.session.batch_open || self.session.status() == TransactionStatus::InTransaction;
        match (&mut self.upstream, self.session.status()) {
            (Some(upstream), _) if inside => {
                frontend::query(&mut upstream.output, DECOY_QUERY)?;
                self.session.sent(Expected::Decoy { notice: Some(Box::new(notice)), simple: true });
            }
            (_, status) => {
                notice.put_error(&mut self.client.output);
                backend::ready_for_query(&mut self.client.output, status);
            }
        }
        Ok(())
    }

    /// Answers a refused message of the extended protocol, and skips to `Sync`. What was forwarded of the batch fails
    /// with it, so that `Sync` commits nothing of it.
    pub(super) async fn refuse_extended(&mut self, notice: Notice) -> Result<(), End> {
        let unnamed = self.deferred.iter().any(|deferred| deferred.parse.name.is_empty());
        self.deferred.clear();
        self.settle().await?;
        if self.session.skipping {
            return Ok(()); // something before it failed already
        }
        let inside = self.session.batch_open || self.session.status() == TransactionStatus::InTransaction;
        let Some(upstream) = self.upstream.as_mut().filter(|_| inside || unnamed) else {
            notice.put_error(&mut self.client.output);
            self.session.skipping = true;
            return Ok(());
        };
        if unnamed {
            let decoy = Parse { name: String::new(), sql: DECOY_QUERY.to_owned(), types: Vec::new() };
            frontend::parse(&mut upstream.output, &decoy)?;
            self.session.unnamed_decoy_sent(notice);
        } else {
            let none = frontend::BindValues { formats: &[], values: &[], result_formats: &[] };
            let names = BindNames { portal: "", statement: &self.decoy };
            frontend::bind(&mut upstream.output, names, &frontend::bind_tail(none)?)?;
            self.session.sent(Expected::Decoy { notice: Some(Box::new(notice)), simple: false });
        }
        self.settle().await
    }
}

//! What the line hands to the core: the description of a statement, and the recorder behind `grant::release`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use countersign_core::action::{ActionRequest, Environment, Facts, Sensitivity, Target, Timestamp};
use countersign_core::grant::{Intent, RecordLevel, Recorder};
use countersign_core::record::{ActionSummary, Event, Record};

use crate::step::Fault;
use crate::store::{Store, StoreError};

/// An action as the record names it.
pub(super) fn summary(request: &ActionRequest) -> ActionSummary {
    let described = request.described();
    ActionSummary {
        id: described.id.clone(),
        digest: request.digest(),
        requester_kind: described.requester.kind().to_owned(),
        requester: described.requester.handle().to_owned(),
        on_behalf_of: described.on_behalf_of.id.clone(),
        target: described.target.name.clone(),
        environment: described.target.environment.name().to_owned(),
        action: described.facts.action(),
    }
}

/// One upstream an environment.
pub(super) fn target(environment: Environment) -> Target {
    let name = format!("orders-{}", environment.name());
    Target { name, environment, sensitivity: Sensitivity::High, generation: "1".to_owned() }
}

/// One statement of a class.
pub(super) fn facts(class: SqlClass) -> Facts {
    let write = if class > SqlClass::Session { ["orders".to_owned()].into() } else { BTreeSet::new() };
    let tables = SqlTables { read: ["orders".to_owned()].into(), write };
    let verb = class.name().to_ascii_uppercase();
    let statement = SqlStatement {
        verb,
        class,
        apart: class,
        code: BTreeSet::new(),
        tables,
        functions: BTreeSet::new(),
        has_where: true,
    };
    Facts::Sql(SqlFacts { class, statements: vec![statement] })
}

/// The recorder behind [`grant::release`]: reads go to the journal, everything else to the store.
pub(super) struct IntentLog<'a> {
    pub(super) store: RefCell<&'a mut Store>,
    pub(super) node: String,
    pub(super) at: Timestamp,
    pub(super) fault: Fault,
}

impl Recorder for IntentLog<'_> {
    type Error = StoreError;
    type Receipt = ();

    fn record(&self, intent: Intent<'_>) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(self.write(&intent))
    }
}

impl IntentLog<'_> {
    fn write(&self, intent: &Intent<'_>) -> Result<(), StoreError> {
        let (action, bundle) = (summary(intent.request), intent.bundle);
        let record = |event| Record { at: self.at, node: self.node.clone(), event };
        let mut store = self.store.borrow_mut();
        let masks = intent.masks.iter().map(|id| (*id).to_owned()).collect();
        if intent.level == RecordLevel::Journal {
            return store.journal(self.fault, record(Event::ActionRead { action, bundle, masks }));
        }
        let id = action.id.clone();
        let consumed = intent.grant.map(|grant| Event::GrantConsumed { grant: grant.id.clone(), id });
        let policies = intent.policies.iter().map(|id| (*id).to_owned()).collect();
        let broken_by = intent.grant.and_then(|grant| grant.broken_by.clone());
        let grant = intent.grant.map(|grant| grant.id.clone());
        // no policy here allows patterns
        let begun = Event::ActionIntent { action, bundle, policies, grant, broken_by, pattern: None, masks };
        let records = consumed.into_iter().chain([begun]).map(record).collect();
        let grant = intent.grant.map(|grant| (grant, intent.request.digest()));
        store.begin(self.fault, intent.request.described(), grant, records)
    }
}

/// The value of a future that never waits; `None` for one that does.
pub(crate) fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

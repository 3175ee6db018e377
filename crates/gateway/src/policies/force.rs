//! The bundle in force: swapped atomically, recorded before it counts, and never by what does not load.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use countersign_core::action::{BundleDigest, PersonId, ReviewId};
use countersign_core::policy::{Bundle, Source};
use countersign_core::record::{Event, Record};

use super::effect::Effect;
use super::{Error, Loaded, load_files, restored, sources};
use crate::config::{Config, PolicyChanges};
use crate::ports::{Bundles, KeptBundle, Scribe, Store, StoreError};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many former bundles stay loaded, for reviews that were opened under them.
const FORMER_MAX: usize = 16;

/// Why a bundle came into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activation {
    /// The gateway started.
    Start,
    /// The files were changed, and `changes = "file"` takes them as they are.
    File,
    /// It permits nothing that the one before did not.
    Stricter {
        /// Who proposed it; nobody, where the files alone did.
        by: Option<PersonId>,
    },
    /// People approved it.
    Approved {
        /// In this review.
        review: ReviewId,
        /// Who proposed it.
        by: PersonId,
    },
}

impl Activation {
    fn name(&self) -> &'static str {
        match self {
            Activation::Start => "start",
            Activation::File => "file",
            Activation::Stricter { .. } => "stricter",
            Activation::Approved { .. } => "approved",
        }
    }
}

/// Why a bundle did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum NotActivated {
    /// Another than the one it was to replace is in force by now.
    #[error("other policies came into force in the meantime")]
    Stale,
    /// The store failed.
    #[error("the activation could not be recorded: {0}")]
    Store(#[source] StoreError),
}

/// Files that are not in force, and what they would mean.
#[derive(Debug)]
pub struct Examined {
    /// What they would replace.
    pub from: BundleDigest,
    /// They, as a bundle.
    pub bundle: Arc<Bundle>,
    /// Their text.
    pub kept: KeptBundle,
    /// What they would mean.
    pub effect: Effect,
}

/// The bundle in force, and the files on disk.
pub struct Policies {
    config: Arc<Config>,
    store: Arc<dyn Bundles>,
    current: ArcSwap<Bundle>,
    problem: ArcSwap<Option<String>>,
    /// The newest last.
    former: Mutex<Vec<Arc<Bundle>>>,
    /// What was looked at last; held while something is, so that one solver runs at a time.
    examined: tokio::sync::Mutex<Option<Arc<Examined>>>,
    /// Held while a bundle is put in force, so that memory and store change in the same order.
    swap: tokio::sync::Mutex<()>,
}

impl Policies {
    /// Puts the first bundle in force; without one the gateway does not start. With `changes = "review"` it is the one that
    /// was last approved, whatever the files say by now. `started` is the record of the start, which commits with it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(
        config: Arc<Config>,
        store: Arc<dyn Bundles>,
        scribe: &Scribe,
        started: Record,
    ) -> Result<Self, Error> {
        let before = store.bundle_in_force().await?;
        let from = before.as_ref().map(|kept| kept.digest);
        let approved = before.filter(|_| config.changes == PolicyChanges::Review);
        let reading = config.clone();
        let loading = move || approved.map_or_else(|| load_files(&reading), restored);
        let Loaded { bundle, kept } = blocking(loading).await?;
        let event = activated(&config, from, bundle.digest(), &Activation::Start);
        store.activate_bundle(from, kept, scribe.now(), vec![started, scribe.record(event)]).await?;
        Ok(Self {
            config,
            store,
            current: ArcSwap::from_pointee(bundle),
            problem: ArcSwap::from_pointee(None),
            former: Mutex::default(),
            examined: tokio::sync::Mutex::default(),
            swap: tokio::sync::Mutex::default(),
        })
    }

    /// The bundle in force.
    pub fn current(&self) -> Arc<Bundle> {
        self.current.load_full()
    }

    /// The same, for a moment: who holds many of these, or holds one for long, makes the others slow.
    pub fn peek(&self) -> Guard<Arc<Bundle>> {
        self.current.load()
    }

    /// Why the files on disk are not in force, if they are not.
    pub fn problem(&self) -> Option<String> {
        self.problem.load().as_ref().clone()
    }

    /// The bundle of a digest, as far as it is, or was, in force and still means the same.
    ///
    /// # Errors
    /// The store's.
    pub async fn bundle(&self, digest: BundleDigest) -> Result<Option<Arc<Bundle>>, StoreError> {
        let current = self.current();
        if current.digest() == digest {
            return Ok(Some(current));
        }
        if let Some(found) = self.former().iter().find(|bundle| bundle.digest() == digest) {
            return Ok(Some(found.clone()));
        }
        let Some(kept) = self.store.bundle(digest).await? else { return Ok(None) };
        let restored = blocking(move || restored(kept)).await;
        let found = restored.ok().map(|loaded| Arc::new(loaded.bundle)).filter(|bundle| bundle.digest() == digest);
        if let Some(bundle) = &found {
            self.remember(bundle.clone());
        }
        Ok(found)
    }

    fn former(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Bundle>>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, bundle: Arc<Bundle>) {
        let mut former = self.former();
        former.retain(|other| other.digest() != bundle.digest());
        if former.len() >= FORMER_MAX {
            former.remove(0);
        }
        former.push(bundle);
    }

    /// Puts a bundle in force in the place of `from`, recorded first.
    ///
    /// # Errors
    /// [`NotActivated`]; what was in force stays.
    pub async fn activate(
        &self,
        from: BundleDigest,
        to: (Arc<Bundle>, KeptBundle),
        why: &Activation,
        scribe: &Scribe,
    ) -> Result<(), NotActivated> {
        let (bundle, kept) = to;
        let _swapping = self.swap.lock().await;
        let record = scribe.record(activated(&self.config, Some(from), bundle.digest(), why));
        match self.store.activate_bundle(Some(from), kept, scribe.now(), vec![record]).await {
            Ok(()) => {}
            Err(StoreError::Conflict) => return Err(NotActivated::Stale),
            Err(error) => return Err(NotActivated::Store(error)),
        }
        tracing::info!(bundle = %bundle.digest(), why = why.name(), "policy bundle in force");
        self.remember(self.current());
        self.current.store(bundle);
        Ok(())
    }

    /// What the files on disk would mean in the place of the bundle in force; none where they are that bundle.
    ///
    /// # Errors
    /// The files are no bundle.
    pub async fn examine(&self, scribe: &Scribe) -> Result<Option<Arc<Examined>>, Error> {
        let config = self.config.clone();
        let Loaded { bundle, kept } = blocking(move || load_files(&config)).await?;
        let mut examined = self.examined.lock().await;
        let current = self.current();
        if bundle.digest() == current.digest() {
            *examined = None;
            return Ok(None);
        }
        let same = |done: &&Arc<Examined>| done.from == current.digest() && done.bundle.digest() == bundle.digest();
        if let Some(done) = examined.as_ref().filter(same) {
            return Ok(Some(done.clone()));
        }
        let bundle = Arc::new(bundle);
        let effect = Effect::of(&self.config, &current, &bundle, scribe.now()).await;
        let done = Arc::new(Examined { from: current.digest(), bundle, kept, effect });
        *examined = Some(done.clone());
        Ok(Some(done))
    }

    /// What was examined last, unless something is being examined right now.
    pub fn examined(&self) -> Option<Arc<Examined>> {
        self.examined.try_lock().ok()?.clone()
    }

    /// Watches the folder until the future is dropped. A change that does not load is reported and left alone; one that
    /// loads is put in force, or waits, as the configuration says.
    pub async fn watch(&self, store: &dyn Store, scribe: &Scribe) {
        let mut settled = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look(store, scribe, &mut settled).await;
        }
    }

    /// What was `settled` is not parsed again: these texts beside this bundle in force.
    async fn look(&self, store: &dyn Store, scribe: &Scribe, settled: &mut Option<(Vec<Source>, BundleDigest)>) {
        let config = self.config.clone();
        let texts = blocking(move || sources(&config.policies)).await.ok();
        let seen = texts.map(|texts| (texts, self.current().digest()));
        if seen.is_some() && seen == *settled {
            return;
        }
        let looked = match self.config.changes {
            PolicyChanges::File => self.take(scribe).await,
            PolicyChanges::Review => self.consider(scribe).await,
        };
        *settled = seen.filter(|_| looked.is_ok());
        match looked {
            Ok(None) => self.problem.store(Arc::new(None)),
            Ok(Some(waits)) => self.problem.store(Arc::new(Some(waits))),
            Err(problem) => self.keep(problem, store, scribe).await,
        }
    }

    /// Takes the files as they are.
    async fn take(&self, scribe: &Scribe) -> Result<Option<String>, String> {
        let config = self.config.clone();
        let Loaded { bundle, kept } = blocking(move || load_files(&config)).await.map_err(|error| error.to_string())?;
        let from = self.current().digest();
        if bundle.digest() != from {
            let done = self.activate(from, (Arc::new(bundle), kept), &Activation::File, scribe).await;
            done.map_err(|error| error.to_string())?;
        }
        Ok(None)
    }

    /// Takes the files where they permit nothing more, and otherwise says that they wait.
    async fn consider(&self, scribe: &Scribe) -> Result<Option<String>, String> {
        let Some(examined) = self.examine(scribe).await.map_err(|error| error.to_string())? else { return Ok(None) };
        if !examined.effect.is_stricter() {
            return Ok(Some(WAITS.to_owned()));
        }
        let to = (examined.bundle.clone(), examined.kept.clone());
        let done = self.activate(examined.from, to, &Activation::Stricter { by: None }, scribe).await;
        done.map(|()| None).map_err(|error| error.to_string())
    }

    /// Keeps the last good bundle; a new problem is told once, in the log and in the record.
    async fn keep(&self, problem: String, store: &dyn Store, scribe: &Scribe) {
        if self.problem().as_deref() == Some(problem.as_str()) {
            return;
        }
        tracing::error!(%problem, "the policies on disk are not valid; the last good bundle stays in force");
        let detail = "the policy files on disk are not valid; the last good bundle stays in force".to_owned();
        let alarm = Event::SystemAlarm { code: "policies_invalid".to_owned(), detail };
        if let Err(error) = store.append(vec![scribe.record(alarm)]).await {
            tracing::error!(%error, "the alarm could not be recorded");
        }
        self.problem.store(Arc::new(Some(problem)));
    }
}

/// What is told of files that wait.
const WAITS: &str = "the files are not the policies in force, and they permit more, or are not shown to permit nothing more; \
                     somebody has to propose them (`countersign policy propose`), and others to approve";

/// Reads and parses on a thread where that may take its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let failed = |_| Error::Store(StoreError::Unavailable("reading the policies was interrupted".to_owned()));
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// The record of a bundle that comes into force.
fn activated(config: &Config, from: Option<BundleDigest>, bundle: BundleDigest, why: &Activation) -> Event {
    let (by, review) = match why {
        Activation::Start | Activation::File => (None, None),
        Activation::Stricter { by } => (by.clone(), None),
        Activation::Approved { review, by } => (Some(by.clone()), Some(review.clone())),
    };
    let from = from.filter(|from| *from != bundle);
    let (changes, why) = (config.changes.name().to_owned(), Some(why.name().to_owned()));
    Event::PolicyActivated { bundle, changes, from, why, by, review }
}

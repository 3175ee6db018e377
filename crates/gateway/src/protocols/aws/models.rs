//! Operations of services that speak REST: those that come with the gateway, and those of a folder of botocore's models.
//!
//! A folder is one as botocore has it: `<service>/<version>/service-2.json`, plain or compressed. Only names, methods and paths
//! are read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::relay::head::Head;

use super::call::presigned;

/// The largest model, unpacked: EC2's has 3 MB.
const MODEL_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The most models of one folder.
const MODELS_MAX: usize = 2_000;

static BUILT_IN: LazyLock<Models> = LazyLock::new(|| {
    let mut models = Models::default();
    for line in include_str!("routes.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [service, operation, method, uri] = words.as_slice() {
            models.add(service, operation, method, uri);
        }
    }
    models
});

/// Routes by the name that a service is signed for.
#[derive(Debug, Default)]
pub struct Models(BTreeMap<String, Vec<Route>>);

#[derive(Debug)]
struct Route {
    operation: String,
    method: String,
    segments: Vec<Part>,
    /// What the query must have.
    query: Vec<(String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Label(String),
    Rest(String),
}

/// An operation, and the labels of its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Routed {
    pub(super) operation: String,
    pub(super) labels: Vec<(String, String)>,
}

/// Why a folder of models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotModels {
    /// A file or folder cannot be read.
    #[error("reading `{0}`")]
    Read(PathBuf, #[source] std::io::Error),
    /// A file is no model.
    #[error("`{0}` is no service model")]
    Malformed(PathBuf, #[source] serde_json::Error),
    /// There are more than [`MODELS_MAX`], or none.
    #[error("`{0}` has no models, or more than {MODELS_MAX}")]
    Count(PathBuf),
}

#[derive(Deserialize)]
struct Model {
    metadata: Metadata,
    #[serde(default)]
    operations: BTreeMap<String, Operation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    protocol: String,
    endpoint_prefix: String,
    signing_name: Option<String>,
}

#[derive(Deserialize)]
struct Operation {
    http: Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    request_uri: String,
}

impl Models {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`NotModels`].
    pub fn load(folder: &Path) -> Result<Self, NotModels> {
        let mut models = Self::default();
        let mut count = 0;
        for version in below(folder)?.iter().filter(|path| path.is_dir()) {
            for path in below(version)?.iter().filter(|path| path.is_dir()) {
                let names = ["service-2.json", "service-2.json.gz"];
                let Some(file) = names.iter().map(|name| path.join(name)).find(|file| file.exists()) else { continue };
                count += 1;
                if count > MODELS_MAX {
                    return Err(NotModels::Count(folder.to_owned()));
                }
                models.read(&file)?;
            }
        }
        if count == 0 { Err(NotModels::Count(folder.to_owned())) } else { Ok(models) }
    }

    fn read(&mut self, file: &Path) -> Result<(), NotModels> {
        let fail = |error| NotModels::Read(file.to_owned(), error);
        let open = std::fs::File::open(file).map_err(fail)?;
        let compressed = file.extension().is_some_and(|end| end == "gz");
        let reader: Box<dyn Read> = if compressed { Box::new(GzDecoder::new(open)) } else { Box::new(open) };
        let mut text = Vec::new();
        reader.take(MODEL_BYTES_MAX).read_to_end(&mut text).map_err(fail)?;
        let model: Model =
            serde_json::from_slice(&text).map_err(|error| NotModels::Malformed(file.to_owned(), error))?;
        if !model.metadata.protocol.starts_with("rest-") {
            return Ok(());
        }
        let service = model.metadata.signing_name.unwrap_or(model.metadata.endpoint_prefix);
        for (name, operation) in &model.operations {
            self.add(&service, name, &operation.http.method, &operation.http.request_uri);
        }
        Ok(())
    }

    fn add(&mut self, service: &str, operation: &str, method: &str, uri: &str) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let part = |text: &str| match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            None => Part::Literal(text.to_owned()),
            Some(label) => match label.strip_suffix('+') {
                Some(label) => Part::Rest(label.to_owned()),
                None => Part::Label(label.to_owned()),
            },
        };
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let segments = path.trim_start_matches('/').trim_end_matches('/').split('/').map(part).collect();
        let route = Route { operation: operation.to_owned(), method: method.to_owned(), segments, query };
        self.0.entry(service.to_owned()).or_default().push(route);
    }

    /// The operation of a request; nothing where there is none, or where it cannot be told which.
    pub(super) fn find(&self, service: &str, head: &Head) -> Option<Routed> {
        let routes = self.0.get(service).or_else(|| BUILT_IN.0.get(service))?;
        let pairs: Vec<_> = head.query_pairs().into_iter().filter(|(name, _)| !presigned(name)).collect();
        let path = head.segments();
        // a slash at the end is ignored by the services' own routers
        let path = path.strip_suffix([String::new()].as_slice()).unwrap_or(path);
        let mut found: Vec<(usize, usize, Routed)> = Vec::new();
        for route in routes.iter().filter(|route| route.method == head.method.as_str()) {
            let asked = route.query.iter().all(|wanted| pairs.contains(wanted));
            if let Some(labels) = route.labels(path).filter(|_| asked) {
                let routed = Routed { operation: route.operation.clone(), labels };
                found.push((route.literals(), route.query.len(), routed));
            }
        }
        let best = found.iter().map(|(literals, query, _)| (*literals, *query)).max()?;
        let mut of_best = found.into_iter().filter(|(literals, query, _)| (*literals, *query) == best);
        let (_, _, routed) = of_best.next()?;
        of_best.next().is_none().then_some(routed)
    }
}

impl Route {
    fn literals(&self) -> usize {
        self.segments.iter().filter(|part| matches!(part, Part::Literal(_))).count()
    }

    fn labels(&self, path: &[String]) -> Option<Vec<(String, String)>> {
        let mut labels = Vec::new();
        let mut rest = path;
        for part in &self.segments {
            let (first, behind) = rest.split_first()?;
            match part {
                Part::Literal(text) => (text == first).then_some(())?,
                Part::Label(name) => {
                    (!first.is_empty()).then_some(())?;
                    labels.push((name.clone(), first.clone()));
                }
                Part::Rest(name) => {
                    labels.push((name.clone(), rest.join("/")));
                    return Some(labels);
                }
            }
            rest = behind;
        }
        rest.is_empty().then_some(labels)
    }
}

fn below(folder: &Path) -> Result<Vec<PathBuf>, NotModels> {
    let fail = |error| NotModels::Read(folder.to_owned(), error);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(fail)?
        .map(|entry| Ok(entry.map_err(fail)?.path()))
        .collect::<Result<_, _>>()?;
    paths.sort_unstable();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn a_folder_of_models_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("things/2026-01-01");
        std::fs::create_dir_all(&place).expect("a folder");
        let model = br#"{"metadata":{"protocol":"rest-json","endpointPrefix":"things","signingName":"thing"},
            "operations":{"GetThing":{"http":{"method":"GET","requestUri":"/things/{id}"}},
            "GetAll":{"http":{"method":"GET","requestUri":"/things/{path+}"}},
            "GetOwn":{"http":{"method":"GET","requestUri":"/things/{id}?own"}}}}"#;
        let file = std::fs::File::create(place.join("service-2.json.gz")).expect("a file");
        flate2::write::GzEncoder::new(file, flate2::Compression::fast()).write_all(model).expect("written");
        let models = Models::load(folder.path()).expect("models");
        let find = |path: &str, query: Option<&str>| {
            let head = Head::new(Method::GET, path, query, HeaderMap::new()).expect("a head");
            models.find("thing", &head).map(|routed| routed.operation)
        };
        assert_eq!(find("/things/7", Some("own=")), Some("GetOwn".to_owned()));
        assert_eq!(find("/things/7/8", None), Some("GetAll".to_owned()));
        assert_eq!(find("/things/7", None), None, "two are as exact");
        assert_eq!(find("/other", None), None);
        assert!(Models::load(&place).is_err());
    }
}

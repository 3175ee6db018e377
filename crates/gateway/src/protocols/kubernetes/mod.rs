//! Kubernetes: requests as the API server reads them.

//! HTTP APIs, described by their OpenAPI documents.

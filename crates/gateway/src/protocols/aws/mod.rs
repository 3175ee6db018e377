//! AWS: service, action and resources by its wire protocols; requests signed anew.

//! Class and tables, statement by statement.

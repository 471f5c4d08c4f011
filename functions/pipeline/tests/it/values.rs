//! Values, with PostgreSQL as the oracle.

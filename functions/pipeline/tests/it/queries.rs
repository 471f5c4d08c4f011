//! The queries of the manual: right, and by index.

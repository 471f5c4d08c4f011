//! Real rows of pubnet.

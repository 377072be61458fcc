//! The engine on a store that others write to.

//! The checker judged: histories that are in order, and for every promise one that breaks it. A
//! checker that cannot fail would be worth nothing.

mod ends;
mod exclusion;
mod leases;
mod limits;
mod lists;
mod liveness;
mod losses;
mod put_off;
mod requests;
mod tokens;

//! Where queue documents are kept: the contract, its conformance suite, the embedded store

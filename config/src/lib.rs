//! Settings: the commented default file, loading, validation

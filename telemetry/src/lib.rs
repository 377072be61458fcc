//! Every metric of Lockkeeper: name, unit, labels, help

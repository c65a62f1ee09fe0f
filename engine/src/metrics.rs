//! Numbers that other processes may read: counters, histograms, and their history of the last minutes. They do not depend on
//! what is counted.

pub mod counter;
pub mod histogram;
pub mod history;

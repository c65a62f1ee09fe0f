//! Numbers that others may read meanwhile: counters, histograms, and what they were in the last minutes. What is counted
//! is not known here.

pub mod counter;
pub mod histogram;
pub mod history;

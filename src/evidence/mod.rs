//! Evidence: what the image needs, and why. One file for each kind of evidence.
//!
//! Each kind reads values that the scan collected and adds paths to [`Needs`]; the plan then leaves those paths alone.

pub mod config;
pub mod needs;

pub use needs::{Need, Needs, Reason};

//! The outcome of a run for people and programs. One file for each format.

pub mod json;
pub mod plan_text;
pub mod size;
pub mod table;

pub use json::Report;

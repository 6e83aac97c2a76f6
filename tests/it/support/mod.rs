//! What tests share: a builder of images, a runner of the program, readers of trees, real tools.

pub mod image;
pub mod run;
pub mod tools;
pub mod tree;

pub use image::{Image, Layer};
pub use run::{Run, pydock};

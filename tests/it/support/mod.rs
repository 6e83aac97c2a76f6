//! What tests share: a builder of images, a runner of the program, readers of trees, real tools.

pub(crate) mod fault_server;
pub(crate) mod image;
pub(crate) mod registries;
pub(crate) mod run;
pub(crate) mod tools;
pub(crate) mod tree;

pub(crate) use image::{Image, Layer};
pub(crate) use run::{Run, pydock};

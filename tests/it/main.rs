//! Tests by behaviour. `support` builds images and reads trees; each other module is one topic.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails where it stands")]

mod architecture;
mod bad_input;
mod cache;
mod cli;
mod crash;
mod evidence;
mod gzip_makers;
mod hostile;
mod images;
mod large;
mod layering;
mod platforms;
mod properties;
mod real_tools;
mod registry;
mod schemas;
mod situations;
mod splice;
mod support;
mod transports;

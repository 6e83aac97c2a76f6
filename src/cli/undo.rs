//! `pydock undo`.

use pydock::undo::undo;

use super::args::UndoArgs;
use super::failure::Failure;
use super::terminal::Terminal;
use super::{DONE, access, run};

/// Restores an old image.
pub(crate) fn run(args: &UndoArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let image = run::reference(&args.image)?;
    let access = access::access(&args.registry, [Some(&image), None])?;
    let digest = run::until_done(async { Ok(undo(&image, args.to, &access).await?) })?;
    terminal.result(&format!("{image} is {digest} again\n"))?;
    Ok(DONE)
}

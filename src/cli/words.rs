//! Notes and unmet gates as sentences that name flags and commands.

use pydock::{BaseFoundBy, Note, Outcome, Report, SlimOptions, UnmetGate};

/// Returns the report of a run, with notes that name flags.
pub(crate) fn report(options: &SlimOptions, outcome: &Outcome) -> Report {
    Report {
        notes: outcome.notes.iter().map(note).collect(),
        unmet_gates: outcome.unmet.iter().map(gate).collect(),
        ..Report::new(options, outcome)
    }
}

fn note(note: &Note) -> String {
    match note {
        Note::AlreadySlim => format!("{note} (--again slims it again)"),
        Note::Base { platform, base, layers, found_by: BaseFoundBy::Options(reference) } => {
            format!("{platform}: the base image is the lowest {base} of {layers} layers, found by --base {reference}")
        }
        Note::EntryCopied { .. } => format!("{note}; `--platform` selects one image"),
        Note::Replaced { image, old } => format!("`pydock undo {image} --to {old}` restores the old image"),
        Note::NotSigned { new } => {
            format!("the old image is signed, and signatures do not carry over: `cosign sign {new}` signs the new one")
        }
        note => note.to_string(),
    }
}

fn gate(gate: &UnmetGate) -> String {
    match gate {
        UnmetGate::TooLarge { platform, size, limit } => {
            format!("{platform}: {size} bytes are more than --max-size {limit}")
        }
        UnmetGate::SavesTooLittle { platform, saved, before, wanted } => {
            format!("{platform}: saving {saved} of {before} bytes is less than --min-saving {wanted}")
        }
        gate => gate.to_string(),
    }
}

//! The libraries that one ELF object needs, and its strings. Spec: System V ABI, "Dynamic Section"; ld.so(8).
//!
//! Code is skipped. The dynamic section and strings lie in other segments, unless the linker put code and all read-only
//! data into one segment. `patchelf` appends the dynamic section to the file, in a segment of its own.

use std::cell::Cell;
use std::io::{self, BufRead};
use std::ops::Range;

use object::elf::{
    DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRTAB, FileHeader32, FileHeader64, PF_X, PT_DYNAMIC,
    PT_INTERP, PT_LOAD,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadRef};
use serde::{Deserialize, Serialize};

use super::strings::ObjectStrings;
use super::windows::Windows;
use super::words::Words;

/// The first bytes of every ELF object.
pub const MAGIC: &[u8] = b"\x7fELF";

/// What was found in one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElfFacts {
    /// Libraries that it needs (`DT_NEEDED`).
    pub needed: Vec<Box<str>>,
    /// Folders in which the loader searches for them first (`DT_RPATH`, `DT_RUNPATH`). `$ORIGIN` is the object's own.
    pub search: Vec<Box<str>>,
    /// Its own name as a library (`DT_SONAME`).
    pub soname: Option<Box<str>>,
    /// The program that loads it (`PT_INTERP`).
    pub interpreter: Option<Box<str>>,
    /// Absolute paths and names of libraries among its strings. For a program, also strings that may be names of
    /// programs.
    pub strings: Words,
}

/// Reads an object of `size` bytes with the help of `windows`; `None` if it is malformed.
///
/// # Errors
/// If `content` cannot be read.
pub fn read(size: u64, content: &mut dyn BufRead, windows: &mut Windows) -> io::Result<Option<ElfFacts>> {
    let is_program = Cell::new(false);
    let mut strings = ObjectStrings::default();
    let wanted = |start: &[u8]| {
        let wanted = wanted(start)?;
        is_program.set(wanted.is_program);
        Some(wanted.ranges)
    };
    windows.fill(size, content, wanted, &mut |bytes| strings.push(bytes, is_program.get()))?;
    Ok(parse(windows).map(|facts| ElfFacts { strings: strings.finish(), ..facts }))
}

/// The parts of an object that are read.
struct WantedParts {
    /// Where the dynamic section and strings may lie.
    ranges: Vec<Range<u64>>,
    /// Whether the object names a program that loads it. Programs do so, libraries do not.
    is_program: bool,
}

/// Returns the parts to read; `None` if the first bytes of the object do not show them.
fn wanted(start: &[u8]) -> Option<WantedParts> {
    match FileKind::parse(start).ok()? {
        FileKind::Elf64 => wanted_of::<FileHeader64<Endianness>>(start),
        FileKind::Elf32 => wanted_of::<FileHeader32<Endianness>>(start),
        _ => None,
    }
}

fn wanted_of<Elf: FileHeader<Endian = Endianness>>(start: &[u8]) -> Option<WantedParts> {
    let header = Elf::parse(start).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, start).ok()?;
    let is_wanted = |segment: &&Elf::ProgramHeader| match segment.p_type(endian) {
        PT_LOAD => !segment.p_flags(endian).contains(PF_X) || segment.p_offset(endian).into() == 0,
        kind => matches!(kind, PT_DYNAMIC | PT_INTERP),
    };
    let range = |segment: &Elf::ProgramHeader| {
        let start: u64 = segment.p_offset(endian).into();
        start..start.saturating_add(segment.p_filesz(endian).into())
    };
    Some(WantedParts {
        ranges: segments.iter().filter(is_wanted).map(range).collect(),
        is_program: segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP),
    })
}

fn parse(windows: &Windows) -> Option<ElfFacts> {
    match FileKind::parse(windows).ok()? {
        FileKind::Elf64 => parse_class::<FileHeader64<Endianness>>(windows),
        FileKind::Elf32 => parse_class::<FileHeader32<Endianness>>(windows),
        _ => None,
    }
}

fn parse_class<Elf: FileHeader<Endian = Endianness>>(windows: &Windows) -> Option<ElfFacts> {
    let header = Elf::parse(windows).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, windows).ok()?;
    let mut facts = ElfFacts::default();
    for segment in segments {
        match segment.p_type(endian) {
            PT_INTERP => {
                let path = segment.data(endian, windows).ok()?;
                facts.interpreter = Some(String::from_utf8_lossy(path).trim_end_matches('\0').into());
            }
            PT_DYNAMIC => {
                let entries = segment.dynamic(endian, windows).ok()??;
                let strings = strings::<Elf>(entries, endian)?;
                for entry in entries.iter().take_while(|entry| entry.d_tag(endian) != DT_NULL) {
                    let tag = entry.d_tag(endian);
                    let text = |what| {
                        (tag == what).then(|| string::<Elf>(segments, endian, windows, strings, entry)).flatten()
                    };
                    if tag == DT_NEEDED && text(DT_NEEDED).is_none() {
                        return None;
                    }
                    facts.needed.extend(text(DT_NEEDED));
                    let search = text(DT_RPATH).or_else(|| text(DT_RUNPATH));
                    facts.search.extend(
                        search.iter().flat_map(|path| path.split(':')).filter(|path| !path.is_empty()).map(Into::into),
                    );
                    facts.soname = facts.soname.or_else(|| text(DT_SONAME));
                }
            }
            _ => {}
        }
    }
    Some(facts)
}

/// Returns the address of the string table.
fn strings<Elf: FileHeader<Endian = Endianness>>(entries: &[Elf::Dyn], endian: Endianness) -> Option<u64> {
    let table = entries.iter().find(|entry| entry.d_tag(endian) == DT_STRTAB);
    Some(table?.d_val(endian).into())
}

fn string<Elf: FileHeader<Endian = Endianness>>(
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    windows: &Windows,
    strings: u64,
    entry: &Elf::Dyn,
) -> Option<Box<str>> {
    let address = strings.checked_add(entry.d_val(endian).into())?;
    let offset = segments.iter().find_map(|segment| {
        let start: u64 = segment.p_vaddr(endian).into();
        let size: u64 = segment.p_filesz(endian).into();
        let within = address.checked_sub(start).filter(|&within| within < size)?;
        (segment.p_type(endian) == PT_LOAD).then(|| within.checked_add(segment.p_offset(endian).into())).flatten()
    })?;
    let bytes = windows.read_bytes_at_until(offset..offset.checked_add(4096)?, 0).ok()?;
    Some(String::from_utf8_lossy(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn an_object_names_its_libraries_and_its_loader() {
        let bytes = own();
        let facts = read(bytes.len() as u64, &mut &bytes[..], &mut Windows::default()).unwrap().unwrap();
        assert!(facts.needed.iter().any(|name| name.starts_with("libc.so")), "{facts:?}");
        assert!(facts.interpreter.unwrap().contains("ld-linux"));
    }

    #[test]
    fn objects_that_are_cut_or_lie_give_nothing_and_never_a_panic() {
        let bytes = own();
        for size in [4, 16, 63, 64, 100, 500, 4000] {
            let cut = &bytes[..size];
            assert!(
                read(size as u64, &mut &*cut, &mut Windows::default())
                    .unwrap()
                    .is_none_or(|facts| facts.needed.is_empty())
            );
        }
        // Set each field of the header and of the first segments to its largest value, one at a time.
        for at in (16..64 + 56 * 8).step_by(4) {
            let mut lying = bytes[..200_000.min(bytes.len())].to_vec();
            lying[at..at + 4].fill(0xff);
            let _ = read(lying.len() as u64, &mut &lying[..], &mut Windows::default()).unwrap();
        }
    }
}

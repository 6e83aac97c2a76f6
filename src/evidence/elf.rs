//! What one ELF object says of the libraries it needs. Spec: System V ABI, "Dynamic Section"; ld.so(8).
//!
//! A layer is a stream, and an object's dynamic section and strings may stand at either end of it (`patchelf` appends
//! them): so the first and the last megabytes are held, and what lies between is only skipped.

use std::io::{self, Read};
use std::ops::Range;

use object::elf::{
    DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRTAB, FileHeader32, FileHeader64, PT_DYNAMIC, PT_INTERP,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadRef};

/// The first bytes of every ELF object.
pub const MAGIC: &[u8] = b"\x7fELF";
/// How much of the beginning is held.
const HEAD: usize = 24 << 20;
/// How much of the end is held.
const TAIL: usize = 8 << 20;

/// What one object says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElfFacts {
    /// Libraries that it needs (`DT_NEEDED`).
    pub needed: Vec<Box<str>>,
    /// Folders in which it looks for them first (`DT_RPATH`, `DT_RUNPATH`); `$ORIGIN` is the object's own.
    pub search: Vec<Box<str>>,
    /// Its own name as a library (`DT_SONAME`).
    pub soname: Option<Box<str>>,
    /// The program that loads it (`PT_INTERP`).
    pub interpreter: Option<Box<str>>,
}

/// Reads an object of `size` bytes; `None` if it lies about itself.
///
/// # Errors
/// Those of the reader.
pub fn read(size: u64, content: &mut dyn Read) -> io::Result<Option<ElfFacts>> {
    let windows = Windows::read(size, content)?;
    Ok(parse(&windows))
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
        (segment.p_type(endian) == object::elf::PT_LOAD)
            .then(|| within.checked_add(segment.p_offset(endian).into()))
            .flatten()
    })?;
    let bytes = windows.read_bytes_at_until(offset..offset.checked_add(4096)?, 0).ok()?;
    Some(String::from_utf8_lossy(bytes).into())
}

/// The beginning and the end of a file.
#[derive(Debug)]
struct Windows {
    size: u64,
    head: Vec<u8>,
    /// Where the tail starts.
    tail_start: u64,
    tail: Vec<u8>,
}

impl Windows {
    fn read(size: u64, content: &mut dyn Read) -> io::Result<Self> {
        let mut head = Vec::new();
        content.take(size.min(HEAD as u64)).read_to_end(&mut head)?;
        let tail_start = (head.len() as u64).max(size.saturating_sub(TAIL as u64));
        io::copy(&mut content.take(tail_start - head.len() as u64), &mut io::sink())?;
        let mut tail = Vec::new();
        content.take(size - tail_start.min(size)).read_to_end(&mut tail)?;
        Ok(Self { size, head, tail_start, tail })
    }

    fn slice(&self, range: Range<u64>) -> Option<&[u8]> {
        let within = |start: u64, window| -> Option<&[u8]> {
            let window: &Vec<u8> = window;
            let from = usize::try_from(range.start.checked_sub(start)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(start)?).ok()?;
            window.get(from..to)
        };
        within(0, &self.head).or_else(|| within(self.tail_start, &self.tail))
    }
}

impl<'a> ReadRef<'a> for &'a Windows {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.slice(offset..offset.checked_add(size).ok_or(())?).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let window = match range.start < self.head.len() as u64 {
            true => self.slice(range.start..range.end.min(self.head.len() as u64)),
            false => self.slice(range.start..range.end.min(self.size)),
        };
        let bytes = window.ok_or(())?;
        let end = bytes.iter().position(|&byte| byte == delimiter).ok_or(())?;
        Ok(&bytes[..end])
    }
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
        let facts = read(bytes.len() as u64, &mut &bytes[..]).unwrap().unwrap();
        assert!(facts.needed.iter().any(|name| name.starts_with("libc.so")), "{facts:?}");
        assert!(facts.interpreter.unwrap().contains("ld-linux"));
    }

    #[test]
    fn objects_that_are_cut_or_lie_give_nothing_and_never_a_panic() {
        let bytes = own();
        for size in [4, 16, 63, 64, 100, 500, 4000] {
            let cut = &bytes[..size];
            assert!(read(size as u64, &mut &*cut).unwrap().is_none_or(|facts| facts.needed.is_empty()));
        }
        // Every field of the header and the first segments, one at a time, made as large as can be.
        for at in (16..64 + 56 * 8).step_by(4) {
            let mut lying = bytes[..200_000.min(bytes.len())].to_vec();
            lying[at..at + 4].fill(0xff);
            let _ = read(lying.len() as u64, &mut &lying[..]).unwrap();
        }
    }
}

//! `/etc/ld.so.cache`, where glibc's loader finds libraries. Sources: glibc, `sysdeps/generic/dl-cache.h`, which
//! describes the format, and `elf/cache.c`, which writes it.
//!
//! Three formats exist. The new one is a header, entries, strings and an optional directory of extensions. The old one
//! is a header, entries and strings. The third contains the new one in place of the old one's strings, and both use the
//! same strings. An entry refers to its library name and path by offsets of strings. One string can be the end of
//! another.

use std::collections::BTreeSet;
use std::ops::Range;

/// The old header: the magic, a padding byte, and the number of entries.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_COUNT: usize = 12;
const OLD_HEADER: usize = 16;
/// Size of flags, name and path.
const OLD_ENTRY: usize = 12;

/// The new header: the magic, and numbers at these offsets.
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const NEW_COUNT: usize = 20;
const NEW_STRINGS: usize = 24;
const NEW_FLAGS: usize = 28;
const NEW_EXTENSIONS: usize = 32;
const NEW_HEADER: usize = 48;
/// Size of flags, name, path, OS version, and 64 bits of `hwcap`.
const NEW_ENTRY: usize = 24;

const NAME: usize = 4;
const PATH: usize = 8;
const HWCAP: usize = 16;

/// If the upper half of `hwcap` is this, except for ten bits of level, the lower half is an index into the subdirectory
/// section.
const HWCAP_IS_INDEX: u32 = 1 << 30;
const HWCAP_LEVEL: u32 = (1 << 10) - 1;

/// The directory of extensions: this magic, the number of sections, and the tag, flags, offset and size of each.
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const DIRECTORY_HEADER: usize = 8;
const SECTION: usize = 16;
/// Section: the program that wrote the cache, as text.
const TAG_GENERATOR: u32 = 0;
/// Section: offsets of the names of `glibc-hwcaps` subdirectories.
const TAG_HWCAPS: u32 = 1;

/// Size of the longest path in Linux, including the final NUL.
const PATH_MAX: usize = 4096;

/// Why bytes are not a cache.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("not a valid ld.so.cache: {0}")]
pub struct MalformedLdCache(&'static str);

/// Removes all entries whose paths were removed, and all strings that no kept entry needs. Returns `None` if no path
/// was removed.
///
/// A path that is not UTF-8 is kept. Unknown extension sections are removed: they may contain names, and the loader
/// works without them.
///
/// # Errors
/// If the bytes are not a cache.
pub fn without(cache: &[u8], is_gone: &dyn Fn(&str) -> bool) -> Result<Option<Vec<u8>>, MalformedLdCache> {
    let cache = LdCache::parse(cache)?;
    let old = cache.old.as_ref().map(|table| cache.kept(table, is_gone)).transpose()?;
    let new = cache.new.as_ref().map(|table| cache.kept(table, is_gone)).transpose()?;
    let is_whole = [&old, &new].into_iter().flatten().all(|kept| kept.is_whole);
    if is_whole { Ok(None) } else { cache.write(old, new).map(Some) }
}

/// A byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// Reads a number.
    fn u32(self, bytes: &[u8], at: usize) -> Result<u32, MalformedLdCache> {
        let number = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(MalformedLdCache("it is cut"))?;
        Ok(if self == Self::Little { u32::from_le_bytes(*number) } else { u32::from_be_bytes(*number) })
    }

    /// Reads a size or a count.
    fn size(self, bytes: &[u8], at: usize) -> Result<usize, MalformedLdCache> {
        usize::try_from(self.u32(bytes, at)?).map_err(|_| MalformedLdCache("a number is too large"))
    }

    fn bytes(self, number: u32) -> [u8; 4] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }
}

/// The entries in one format.
#[derive(Debug, Clone)]
struct EntryTable {
    /// Range of the entries.
    entries: Range<usize>,
    /// Size of an entry.
    width: usize,
    /// The position that string offsets count from.
    base: usize,
}

impl EntryTable {
    fn new(cache: &[u8], start: usize, count: usize, width: usize, base: usize) -> Result<Self, MalformedLdCache> {
        let end = count.checked_mul(width).and_then(|size| size.checked_add(start));
        let end = end.filter(|end| *end <= cache.len()).ok_or(MalformedLdCache("it has fewer entries than it says"))?;
        Ok(Self { entries: start..end, width, base })
    }
}

/// A parsed cache.
#[derive(Debug)]
struct LdCache<'a> {
    bytes: &'a [u8],
    order: Order,
    old: Option<EntryTable>,
    new: Option<EntryTable>,
    strings: Range<usize>,
    extensions: Option<ExtensionDirectory<'a>>,
}

/// The known sections.
#[derive(Debug, Default)]
struct ExtensionDirectory<'a> {
    generator: Option<&'a [u8]>,
    hwcaps: &'a [u8],
}

/// A kept entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LdEntry<'a> {
    bytes: &'a [u8],
    name: Range<usize>,
    path: Range<usize>,
    /// The index of the name of its subdirectory.
    hwcap: Option<u32>,
}

/// The kept entries of a table.
#[derive(Debug)]
struct KeptEntry<'a> {
    entries: Vec<LdEntry<'a>>,
    /// Whether all entries are kept.
    is_whole: bool,
}

impl<'a> LdCache<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, MalformedLdCache> {
        let parse = if bytes.starts_with(NEW_MAGIC) {
            Self::parse_new
        } else if bytes.starts_with(OLD_MAGIC) {
            Self::parse_old
        } else {
            return Err(MalformedLdCache("its magic is unknown"));
        };
        // Only new headers contain their byte order. In the wrong order, the entries would not fit into the file.
        parse(bytes, Order::Little).or_else(|error| parse(bytes, Order::Big).map_err(|_| error))
    }

    fn parse_old(bytes: &'a [u8], order: Order) -> Result<Self, MalformedLdCache> {
        let count = order.size(bytes, OLD_COUNT)?;
        let mut old = EntryTable::new(bytes, OLD_HEADER, count, OLD_ENTRY, 0)?;
        let end = old.entries.end;
        old.base = end;
        // Platforms that align 64-bit numbers to 8 bytes, and those that do not.
        let starts = [8, 4].map(|alignment| end.next_multiple_of(alignment));
        let new = starts.into_iter().find(|&start| bytes.get(start..).is_some_and(|rest| rest.starts_with(NEW_MAGIC)));
        match new {
            Some(start) => Ok(Self { old: Some(old), ..Self::parse_new_at(bytes, order, start)? }),
            None => Ok(Self { bytes, order, old: Some(old), new: None, strings: end..bytes.len(), extensions: None }),
        }
    }

    fn parse_new(bytes: &'a [u8], order: Order) -> Result<Self, MalformedLdCache> {
        Self::parse_new_at(bytes, order, 0)
    }

    fn parse_new_at(bytes: &'a [u8], order: Order, start: usize) -> Result<Self, MalformedLdCache> {
        let header = bytes.get(start..start + NEW_HEADER).ok_or(MalformedLdCache("its header is cut"))?;
        match (header[NEW_FLAGS] & 3, order) {
            (0, _) | (2, Order::Little) | (3, Order::Big) => {}
            _ => return Err(MalformedLdCache("its flags are of another byte order, or invalid")),
        }
        let count = order.size(header, NEW_COUNT)?;
        let new = EntryTable::new(bytes, start + NEW_HEADER, count, NEW_ENTRY, start)?;
        let end = new.entries.end.checked_add(order.size(header, NEW_STRINGS)?);
        let end = end.filter(|end| *end <= bytes.len()).ok_or(MalformedLdCache("its strings are cut"))?;
        let extensions = ExtensionDirectory::parse(bytes, order, order.size(header, NEW_EXTENSIONS)?)?;
        Ok(Self { bytes, order, old: None, strings: new.entries.end..end, new: Some(new), extensions })
    }

    /// Returns the entries of a table whose paths were not removed.
    fn kept(&self, table: &EntryTable, is_gone: &dyn Fn(&str) -> bool) -> Result<KeptEntry<'a>, MalformedLdCache> {
        let mut entries = self.bytes[table.entries.clone()]
            .chunks_exact(table.width)
            .map(|entry| self.entry(table, entry))
            .collect::<Result<Vec<_>, _>>()?;
        if self.new.is_some() && table.width == OLD_ENTRY {
            drop_padding(&mut entries);
        }
        let count = entries.len();
        entries.retain(|entry| !std::str::from_utf8(&self.bytes[entry.path.clone()]).is_ok_and(is_gone));
        Ok(KeptEntry { is_whole: entries.len() == count, entries })
    }

    fn entry(&self, table: &EntryTable, bytes: &'a [u8]) -> Result<LdEntry<'a>, MalformedLdCache> {
        let string = |at| self.string(table.base, self.order.u32(bytes, at)?);
        let hwcap = if table.width == NEW_ENTRY { self.hwcap(bytes)? } else { None };
        Ok(LdEntry { bytes, name: string(NAME)?, path: string(PATH)?, hwcap })
    }

    /// Returns the offsets of the subdirectory names.
    fn hwcaps(&self) -> &'a [u8] {
        self.extensions.as_ref().map_or(&[], |extensions| extensions.hwcaps)
    }

    /// Returns the name index of an entry's subdirectory. Returns `None` if it has none. Without extensions, these bits
    /// have another meaning, from older versions of glibc.
    fn hwcap(&self, entry: &[u8]) -> Result<Option<u32>, MalformedLdCache> {
        let halves = [self.order.u32(entry, HWCAP)?, self.order.u32(entry, HWCAP + 4)?];
        let (low, high) = if self.order == Order::Little { (halves[0], halves[1]) } else { (halves[1], halves[0]) };
        let is_index = high & !HWCAP_LEVEL == HWCAP_IS_INDEX && !self.hwcaps().is_empty();
        Ok(is_index.then_some(low))
    }

    /// Returns the range of a string, without its NUL.
    fn string(&self, base: usize, offset: u32) -> Result<Range<usize>, MalformedLdCache> {
        let start = usize::try_from(offset).ok().and_then(|offset| base.checked_add(offset));
        let start =
            start.filter(|start| self.strings.contains(start)).ok_or(MalformedLdCache("an offset is of no string"))?;
        let end = self.strings.end.min(start.saturating_add(PATH_MAX));
        let length = memchr::memchr(0, &self.bytes[start..end]).ok_or(MalformedLdCache("a string has no end"))?;
        Ok(start..start + length)
    }

    /// Returns the index and name of each subdirectory of an entry. The offsets of names count from the new header,
    /// like those of entries, as `ldconfig` writes them.
    fn subdirectories(&self, new: Option<&KeptEntry<'_>>) -> Result<Vec<(u32, Range<usize>)>, MalformedLdCache> {
        let used =
            new.into_iter().flat_map(|kept| &kept.entries).filter_map(|entry| entry.hwcap).collect::<BTreeSet<_>>();
        let base = self.new.as_ref().map_or(0, |table| table.base);
        let name = |index: u32| {
            let at = usize::try_from(index).ok().and_then(|index| index.checked_mul(4)).unwrap_or(usize::MAX);
            Ok((index, self.string(base, self.order.u32(self.hwcaps(), at)?)?))
        };
        used.into_iter().map(name).collect()
    }

    /// Writes the cache with the kept entries.
    fn write(&self, mut old: Option<KeptEntry<'_>>, new: Option<KeptEntry<'_>>) -> Result<Vec<u8>, MalformedLdCache> {
        if let (Some(old), Some(_)) = (&mut old, &new) {
            add_padding(&mut old.entries);
        }
        let subdirectories = self.subdirectories(new.as_ref())?;
        let entries = [&old, &new].into_iter().flatten().flat_map(|kept| &kept.entries);
        let names = subdirectories.iter().map(|(_, name)| name.clone());
        let used = entries.flat_map(|entry| [entry.name.clone(), entry.path.clone()]).chain(names);
        // In every format, only the new header and its entries are between the old entries and the strings.
        let between = new.as_ref().map_or(0, |new| NEW_HEADER + new.entries.len() * NEW_ENTRY);
        let strings = StringTable::pack(used.collect(), between);
        let mut writer = Writer { order: self.order, out: Vec::with_capacity(self.bytes.len() + OLD_ENTRY) };
        if let Some(old) = &old {
            writer.out.extend_from_slice(&self.bytes[..OLD_COUNT]);
            writer.number(old.entries.len())?;
            old.entries.iter().try_for_each(|entry| writer.entry(entry, &strings, &[]))?;
        }
        let Some((table, new)) = self.new.as_ref().zip(new) else {
            strings.write(self.bytes, &mut writer.out);
            return Ok(writer.out);
        };
        let header = writer.out.len();
        writer.out.extend_from_slice(&self.bytes[table.base..table.base + NEW_HEADER]);
        writer.number_at(header + NEW_COUNT, new.entries.len())?;
        writer.number_at(header + NEW_STRINGS, strings.size())?;
        new.entries.iter().try_for_each(|entry| writer.entry(entry, &strings, &subdirectories))?;
        strings.write(self.bytes, &mut writer.out);
        if let Some(extensions) = &self.extensions {
            let start = writer.out.len().next_multiple_of(4);
            writer.out.resize(start, 0);
            writer.number_at(header + NEW_EXTENSIONS, start)?;
            writer.extensions(extensions.generator, &subdirectories, &strings)?;
        }
        Ok(writer.out)
    }
}

/// Before a new cache, `ldconfig` pads the old entries to an even number by repeating the last one.
fn drop_padding(entries: &mut Vec<LdEntry<'_>>) {
    let is_padded = entries.len().is_multiple_of(2) && entries.last_chunk().is_some_and(|[a, b]| a == b);
    entries.truncate(entries.len() - usize::from(is_padded));
}

fn add_padding(entries: &mut Vec<LdEntry<'_>>) {
    if !entries.len().is_multiple_of(2) {
        entries.extend(entries.last().cloned());
    }
}

impl<'a> ExtensionDirectory<'a> {
    /// Parses the directory at an offset. An offset of 0 means that there is none.
    fn parse(bytes: &'a [u8], order: Order, start: usize) -> Result<Option<Self>, MalformedLdCache> {
        if start == 0 {
            return Ok(None);
        }
        if !start.is_multiple_of(4) || order.u32(bytes, start)? != EXTENSION_MAGIC {
            return Err(MalformedLdCache("its extensions are not where it says"));
        }
        let count = order.size(bytes, start + 4)?;
        let sections = EntryTable::new(bytes, start + DIRECTORY_HEADER, count, SECTION, 0)?.entries;
        let mut extensions = Self::default();
        for section in bytes[sections].chunks_exact(SECTION) {
            let (offset, size) = (order.size(section, 8)?, order.size(section, 12)?);
            let data =
                bytes.get(offset..).and_then(|rest| rest.get(..size)).ok_or(MalformedLdCache("an extension is cut"))?;
            match order.u32(section, 0)? {
                TAG_GENERATOR => extensions.generator = Some(data),
                TAG_HWCAPS => extensions.hwcaps = data,
                _ => {}
            }
        }
        Ok(Some(extensions))
    }
}

/// The kept strings.
#[derive(Debug)]
struct StringTable {
    /// The old range of each string, and its new offset.
    places: Vec<(Range<usize>, usize)>,
    /// Offset of the first string.
    start: usize,
    /// Offset after the last string.
    end: usize,
}

impl StringTable {
    /// Packs strings in order. A string that is the end of another still shares its bytes. `start` is the offset of the
    /// first.
    fn pack(mut used: Vec<Range<usize>>, start: usize) -> Self {
        // Overlapping strings have the same end. After sorting, the longest of them comes first.
        used.sort_unstable_by_key(|string| string.start);
        used.dedup_by_key(|string| string.end);
        let mut end = start;
        let place = |string: Range<usize>| {
            let place = end;
            end += string.len() + 1;
            (string, place)
        };
        let places = used.into_iter().map(place).collect();
        Self { places, start, end }
    }

    fn size(&self) -> usize {
        self.end - self.start
    }

    /// Returns the new offset of a string.
    fn place(&self, string: &Range<usize>) -> usize {
        let at = self.places.partition_point(|(packed, _)| packed.end < string.end);
        self.places.get(at).map_or(0, |(packed, place)| place + (string.start - packed.start))
    }

    fn write(&self, cache: &[u8], out: &mut Vec<u8>) {
        for (string, _) in &self.places {
            out.extend_from_slice(&cache[string.clone()]);
            out.push(0);
        }
    }
}

/// Writes a cache.
#[derive(Debug)]
struct Writer {
    order: Order,
    out: Vec<u8>,
}

impl Writer {
    fn encode(&self, number: usize) -> Result<[u8; 4], MalformedLdCache> {
        let number = u32::try_from(number).map_err(|_| MalformedLdCache("it is too large"))?;
        Ok(self.order.bytes(number))
    }

    fn number(&mut self, number: usize) -> Result<(), MalformedLdCache> {
        self.out.extend_from_slice(&self.encode(number)?);
        Ok(())
    }

    fn number_at(&mut self, at: usize, number: usize) -> Result<(), MalformedLdCache> {
        let bytes = self.encode(number)?;
        self.out[at..at + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }

    /// Writes an entry with new offsets and the new index of its subdirectory.
    fn entry(
        &mut self,
        entry: &LdEntry<'_>,
        strings: &StringTable,
        subdirectories: &[(u32, Range<usize>)],
    ) -> Result<(), MalformedLdCache> {
        let start = self.out.len();
        self.out.extend_from_slice(entry.bytes);
        self.number_at(start + NAME, strings.place(&entry.name))?;
        self.number_at(start + PATH, strings.place(&entry.path))?;
        if let Some(hwcap) = entry.hwcap {
            let low = if self.order == Order::Little { HWCAP } else { HWCAP + 4 };
            self.number_at(start + low, subdirectories.partition_point(|(index, _)| *index < hwcap))?;
        }
        Ok(())
    }

    /// Writes the directory of extensions and its sections in the order of `ldconfig`.
    fn extensions(
        &mut self,
        generator: Option<&[u8]>,
        subdirectories: &[(u32, Range<usize>)],
        strings: &StringTable,
    ) -> Result<(), MalformedLdCache> {
        let count = usize::from(generator.is_some()) + usize::from(!subdirectories.is_empty());
        let hwcaps = self.out.len() + DIRECTORY_HEADER + count * SECTION;
        let hwcaps_size = subdirectories.len() * 4;
        self.out.extend_from_slice(&self.order.bytes(EXTENSION_MAGIC));
        self.number(count)?;
        if let Some(generator) = generator {
            self.section(TAG_GENERATOR, hwcaps + hwcaps_size, generator.len())?;
        }
        if !subdirectories.is_empty() {
            self.section(TAG_HWCAPS, hwcaps, hwcaps_size)?;
        }
        subdirectories.iter().try_for_each(|(_, name)| self.number(strings.place(name)))?;
        self.out.extend_from_slice(generator.unwrap_or_default());
        Ok(())
    }

    fn section(&mut self, tag: u32, offset: usize, size: usize) -> Result<(), MalformedLdCache> {
        self.out.extend_from_slice(&self.order.bytes(tag));
        self.number(0)?;
        self.number(offset)?;
        self.number(size)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// A folder of libraries, and the cache that `ldconfig` creates for them and for the system's libraries.
    struct TestLibraries(tempfile::TempDir);

    impl TestLibraries {
        /// Copies a library several times, two of them for newer processors only.
        fn new() -> Self {
            let libraries = Self(tempfile::tempdir().unwrap());
            let own = ldconfig(&["-p"]);
            let real = own.lines().find_map(|line| line.split_once("libm.so.6 ")?.1.split_once("=> ")).unwrap().1;
            for folder in ["a", "b", "a/glibc-hwcaps/x86-64-v2", "b/glibc-hwcaps/x86-64-v3"] {
                fs::create_dir_all(libraries.path(folder)).unwrap();
                fs::copy(real, libraries.path(folder).join("libm.so.6")).unwrap();
            }
            let folders = ["a", "b"].map(|folder| format!("{}\n", libraries.path(folder).display()));
            fs::write(libraries.path("conf"), folders.concat()).unwrap();
            libraries
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Creates the cache with `ldconfig`.
        fn cache(&self, format: &str) -> Vec<u8> {
            let [conf, cache] = ["conf", "cache"].map(|name| self.path(name).display().to_string());
            ldconfig(&["-X", "-c", format, "-f", &conf, "-C", &cache]);
            fs::read(cache).unwrap()
        }

        /// Lists a cache with `ldconfig`.
        fn list(&self, format: &str, cache: &[u8]) -> Vec<String> {
            fs::write(self.path("cache"), cache).unwrap();
            let list = ldconfig(&["-p", "-C", &self.path("cache").display().to_string()]);
            let is_wrong = format == "compat";
            list.lines().map(|line| if is_wrong { without_subdirectory(line) } else { line.to_owned() }).collect()
        }
    }

    /// In the format "compat", `ldconfig` does not find the subdirectory names that it wrote itself.
    fn without_subdirectory(line: &str) -> String {
        let parts = line.split_once(", hwcap: ").and_then(|(start, rest)| Some((start, rest.split_once(')')?.1)));
        parts.map_or(line.to_owned(), |(start, end)| format!("{start}){end}"))
    }

    fn ldconfig(arguments: &[&str]) -> String {
        let output = Command::new("/sbin/ldconfig").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn holds(cache: &[u8], text: &str) -> bool {
        memchr::memmem::find(cache, text.as_bytes()).is_some()
    }

    /// Swaps the bytes of all numbers in a new cache.
    fn swapped(cache: &[u8]) -> Vec<u8> {
        let mut swapped = cache.to_vec();
        let number = |at: usize| Order::Little.size(cache, at).unwrap();
        let mut swap = |at: usize, size: usize| swapped[at..at + size].reverse();
        for entry in (0..number(NEW_COUNT)).map(|entry| NEW_HEADER + entry * NEW_ENTRY) {
            [(0, 4), (4, 4), (8, 4), (12, 4), (16, 8)].iter().for_each(|(field, size)| swap(entry + field, *size));
        }
        let directory = number(NEW_EXTENSIONS);
        [NEW_COUNT, NEW_STRINGS, NEW_EXTENSIONS, directory, directory + 4].iter().for_each(|at| swap(*at, 4));
        for section in (0..number(directory + 4)).map(|section| directory + DIRECTORY_HEADER + section * SECTION) {
            [0, 4, 8, 12].iter().for_each(|field| swap(section + field, 4));
            if cache[section..].starts_with(&TAG_HWCAPS.to_le_bytes()) {
                let (offset, size) = (number(section + 8), number(section + 12));
                (offset..offset + size).step_by(4).for_each(|at| swap(at, 4));
            }
        }
        swapped[NEW_FLAGS] ^= 1;
        swapped
    }

    /// A cache as written by glibc 2.2 to 2.32, in both formats, for a processor that aligns 64-bit numbers to four
    /// bytes.
    fn ancient() -> Vec<u8> {
        let strings = b"liba.so\0/lib/liba.so\0libb.so\0/lib/sse2/libb.so\0";
        let number = |number: u32| number.to_le_bytes();
        let offset = |place: u32| number((NEW_HEADER + 2 * NEW_ENTRY) as u32 + place);
        let mut cache = [OLD_MAGIC, b"\0"].concat();
        cache.extend([number(1), number(3), offset(0), offset(8)].concat());
        cache.extend([NEW_MAGIC, &number(2), &number(strings.len() as u32), &[0; 20]].concat());
        cache.extend([number(3), offset(0), offset(8), number(0), number(0), number(0)].concat());
        cache.extend([number(3), offset(21), offset(29), number(0), number(0), number(HWCAP_IS_INDEX)].concat());
        cache.extend(strings);
        cache
    }

    #[test]
    fn what_is_left_is_what_ldconfig_makes_when_the_files_are_gone() {
        for format in ["new", "compat", "old"] {
            for gone in [&["a"][..], &["a/glibc-hwcaps"], &["b/libm.so.6", "b/glibc-hwcaps"], &["a", "b"]] {
                let libraries = TestLibraries::new();
                let cache = libraries.cache(format);
                let gone = gone.iter().map(|name| libraries.path(name)).collect::<Vec<_>>();
                let is_gone = |path: &str| gone.iter().any(|gone| PathBuf::from(path).starts_with(gone));
                let left = without(&cache, &is_gone).unwrap().unwrap();
                for path in &gone {
                    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                    assert!(!holds(&left, &format!("{}/", path.display())));
                }
                let expected = libraries.cache(format);
                assert_eq!(libraries.list(format, &left), libraries.list(format, &expected), "{format}: {gone:?}");
                // A name that shared its bytes with a removed path now has its own.
                assert!(left.len() < expected.len() + 100, "{format}: {gone:?}");
                assert_eq!(holds(&left, "x86-64-v3"), holds(&expected, "x86-64-v3"));
            }
        }
    }

    #[test]
    fn what_is_left_of_the_real_cache_is_what_is_not_gone() {
        let libraries = TestLibraries::new();
        for (format, part) in ["new", "compat", "old"].into_iter().zip(2..) {
            let cache = libraries.cache(format);
            let path_of = |line: &str| line.split_once(" => ").map(|(_, path)| path.to_owned());
            let is_gone = |path: &str| path.len().is_multiple_of(part);
            let (gone, stay) = libraries
                .list(format, &cache)
                .into_iter()
                .partition::<Vec<_>, _>(|line| path_of(line).is_some_and(|path| is_gone(&path)));
            let left = without(&cache, &is_gone).unwrap().unwrap();
            assert_eq!(libraries.list(format, &left)[1..], stay[1..], "{format}");
            assert!(gone.iter().filter_map(|line| path_of(line)).all(|path| !holds(&left, &format!("\0{path}\0"))));
            assert_eq!(without(&left, &is_gone), Ok(None));
        }
    }

    #[test]
    fn a_cache_may_become_empty() {
        let libraries = TestLibraries::new();
        for format in ["new", "compat", "old"] {
            let left = without(&libraries.cache(format), &|_| true).unwrap().unwrap();
            assert!(libraries.list(format, &left)[0].starts_with("0 libs found"), "{format}");
            assert!(!holds(&left, "lib/") && !holds(&left, ".so\0") && !holds(&left, "x86-64-v"));
            assert_eq!(without(&left, &|_| true), Ok(None));
        }
    }

    #[test]
    fn a_cache_that_names_nothing_gone_is_not_written() {
        let libraries = TestLibraries::new();
        for format in ["new", "compat", "old"] {
            assert_eq!(without(&libraries.cache(format), &|_| false), Ok(None));
        }
    }

    #[test]
    fn numbers_may_have_either_order_of_bytes() {
        let libraries = TestLibraries::new();
        let cache = libraries.cache("new");
        let is_gone = |path: &str| path.contains("/a/");
        let left = without(&cache, &is_gone).unwrap().unwrap();
        assert_eq!(without(&swapped(&cache), &is_gone).unwrap().unwrap(), swapped(&left));
        let mut unset = swapped(&cache);
        unset[NEW_FLAGS] = 0;
        assert_eq!(without(&unset, &is_gone).unwrap().unwrap()[NEW_HEADER..], swapped(&left)[NEW_HEADER..]);
    }

    #[test]
    fn a_cache_of_an_ancient_glibc_is_read_and_its_hwcap_bits_stay() {
        let cache = ancient();
        let left = without(&cache, &|path| path == "/lib/liba.so").unwrap().unwrap();
        assert_eq!(left.len(), OLD_HEADER + NEW_HEADER + NEW_ENTRY + b"libb.so\0/lib/sse2/libb.so\0".len());
        let entry = &left[OLD_HEADER + NEW_HEADER..][..NEW_ENTRY];
        assert_eq!(entry[HWCAP..], cache[OLD_HEADER + OLD_ENTRY + NEW_HEADER + NEW_ENTRY..][HWCAP..NEW_ENTRY]);
        let left = without(&cache, &|path| path == "/lib/sse2/libb.so").unwrap().unwrap();
        let (new, entry) = (OLD_HEADER + 2 * OLD_ENTRY, OLD_HEADER + OLD_ENTRY);
        assert!(left[new..].starts_with(NEW_MAGIC), "{left:?}");
        assert_eq!(left[OLD_HEADER..entry], left[entry..new], "the last old entry is there twice");
        assert!(left.ends_with(b"\0liba.so\0/lib/liba.so\0"));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let error = |cache: &[u8]| without(cache, &|_| true).unwrap_err().0;
        assert_eq!(error(b""), "its magic is unknown");
        assert_eq!(error(OLD_MAGIC), "it is cut");
        assert_eq!(error(NEW_MAGIC), "its header is cut");
        let patched = |at: usize, number: u32| {
            let mut cache = ancient();
            cache[at..at + 4].copy_from_slice(&number.to_le_bytes());
            error(&cache)
        };
        let new = OLD_HEADER + OLD_ENTRY;
        assert_eq!(patched(OLD_COUNT, 1 << 30), "it has fewer entries than it says");
        assert_eq!(patched(new + NEW_COUNT, 3), "its strings are cut");
        assert_eq!(patched(new + NEW_STRINGS, u32::MAX), "its strings are cut");
        assert_eq!(patched(new + NEW_STRINGS, 40), "a string has no end");
        assert_eq!(patched(new + NEW_FLAGS, 1), "its flags are of another byte order, or invalid");
        assert_eq!(patched(new + NEW_EXTENSIONS, 4), "its extensions are not where it says");
        assert_eq!(patched(new + NEW_HEADER + PATH, 0), "an offset is of no string");
    }

    #[test]
    fn a_string_without_an_end_in_sight_costs_no_more_than_a_path() {
        let count = 1000;
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut cache = [OLD_MAGIC, b"\0", &number(count)].concat();
        (0..count).for_each(|at| cache.extend([number(3), number(at), number(at)].concat()));
        cache.resize(cache.len() + (1 << 20), b'a');
        cache.push(0);
        assert_eq!(without(&cache, &|_| true), Err(MalformedLdCache("a string has no end")));
    }

    proptest! {
        #[test]
        fn damage_is_refused_or_leaves_a_cache(
            patches in prop::collection::vec((0..200usize, any::<u8>()), 0..4),
            length in 0..200usize,
            format in 0..3usize,
        ) {
            let whole = ancient();
            // The whole cache, only the new part, and only the old part.
            let mut cache = [&whole[..], &whole[OLD_HEADER + OLD_ENTRY..], &whole[..OLD_HEADER + OLD_ENTRY]][format].to_vec();
            cache.truncate(length.max(OLD_HEADER));
            for (at, byte) in patches {
                if let Some(place) = cache.get_mut(at) {
                    *place = byte;
                }
            }
            if let Ok(Some(left)) = without(&cache, &|path| path.contains('a')) {
                prop_assert_eq!(without(&left, &|path| path.contains('a')), Ok(None));
                prop_assert!(left.len() <= cache.len() + OLD_ENTRY);
            }
        }
    }
}

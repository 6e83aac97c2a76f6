//! Edits the headers of one tar member: a new path, link target or size. Everything else is preserved.
//!
//! This is the only place where pydock edits the tar headers of a layer. It is needed when the first name of a hard
//! link is removed, when a path leads through a removed symlink, and when a package database changes its size.

use serde::Serialize;
use tar::{EntryType, Header};

use super::pax::{self, push_record};
use super::tar::{BLOCK, USTAR_MAGIC, number};
use crate::rootfs_path::RootfsPath;

/// The changes to a member's headers. `None` leaves a field unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HeaderEdit {
    /// A new path.
    pub path: Option<RootfsPath>,
    /// A new target of the hard link.
    pub link: Option<RootfsPath>,
    /// A new size of the data, in bytes.
    pub size: Option<u64>,
}

/// Why headers cannot be edited.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    /// The bytes are not the headers that the scan read: the layer has changed.
    #[error("the headers are not those that were scanned")]
    Changed,
}

/// Applies `edit` to `headers`: extension headers, the member's own header and additional sparse blocks.
///
/// # Errors
/// If the bytes are not complete headers.
pub fn edit(headers: &[u8], edit: &HeaderEdit) -> Result<Vec<u8>, HeaderError> {
    let mut parts = Parts::split(headers)?;
    let mut records = Vec::new();
    if let Some(path) = &edit.path {
        parts.drop_extension(EntryType::GNULongName);
        set_text(&mut parts.header, Field::Path, path.as_bytes(), &mut records);
    }
    if let Some(link) = &edit.link {
        parts.drop_extension(EntryType::GNULongLink);
        set_text(&mut parts.header, Field::Link, link.as_bytes(), &mut records);
    }
    if let Some(size) = edit.size {
        // `set_size` writes GNU's base-256 form above 8 GiB, which every image reader supports.
        parts.header.set_size(size);
    }
    parts.edit_pax(edit, records)?;
    parts.header.set_cksum();
    Ok(parts.join())
}

/// A text field of the ustar header and the PAX record that overrides it.
#[derive(Clone, Copy)]
enum Field {
    Path,
    Link,
}

impl Field {
    fn pax_key(self) -> &'static [u8] {
        match self {
            Self::Path => b"path",
            Self::Link => b"linkpath",
        }
    }
}

/// Writes a text field, and adds a PAX record if the text does not fit.
fn set_text(header: &mut Header, field: Field, value: &[u8], records: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let is_ustar = header.as_bytes()[257..263] == *USTAR_MAGIC;
    let old = header.as_old_mut();
    let slot = match field {
        Field::Path => &mut old.name,
        Field::Link => &mut old.linkname,
    };
    slot.fill(0);
    let fits = value.len().min(slot.len());
    slot[..fits].copy_from_slice(&value[..fits]);
    if matches!(field, Field::Path) && is_ustar {
        // The prefix of the old path. GNU headers keep times in these bytes.
        header.as_mut_bytes()[345..500].fill(0);
    }
    if fits < value.len() {
        records.push((field.pax_key().to_vec(), value.to_vec()));
    }
}

/// The parsed headers of one member.
struct Parts {
    /// Extension headers with their data, in order.
    extensions: Vec<(EntryType, Header, Vec<u8>)>,
    header: Header,
    /// Additional blocks of an old GNU sparse header.
    rest: Vec<u8>,
}

impl Parts {
    fn split(headers: &[u8]) -> Result<Self, HeaderError> {
        let mut extensions = Vec::new();
        let mut at = 0;
        loop {
            let block = headers.get(at..at + BLOCK as usize).ok_or(HeaderError::Changed)?;
            let header = Header::from_byte_slice(block).clone();
            at += BLOCK as usize;
            let kind = header.entry_type();
            if !matches!(kind, EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) {
                return Ok(Self { extensions, header, rest: headers[at..].to_vec() });
            }
            let size = number(&header.as_old().size).and_then(|size| usize::try_from(size).ok());
            let size = size.ok_or(HeaderError::Changed)?;
            let data = at.checked_add(size).and_then(|end| headers.get(at..end)).ok_or(HeaderError::Changed)?;
            extensions.push((kind, header, data.to_vec()));
            at += size.next_multiple_of(BLOCK as usize);
        }
    }

    fn drop_extension(&mut self, kind: EntryType) {
        self.extensions.retain(|(other, ..)| *other != kind);
    }

    /// Removes overridden records from the PAX headers and adds `records`.
    fn edit_pax(&mut self, edit: &HeaderEdit, mut records: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), HeaderError> {
        let overridden = |key: &[u8]| match key {
            b"path" | b"GNU.sparse.name" => edit.path.is_some(),
            b"linkpath" => edit.link.is_some(),
            b"size" => edit.size.is_some(),
            _ => false,
        };
        let mut last = None;
        for (index, (kind, header, data)) in self.extensions.iter_mut().enumerate() {
            if *kind != EntryType::XHeader {
                continue;
            }
            let mut kept = Vec::new();
            for record in pax::records(data) {
                let pax::Record { key, value } = record.map_err(|_| HeaderError::Changed)?;
                match (key, &edit.path) {
                    (b"GNU.sparse.name", Some(path)) => push_record(&mut kept, key, path.as_bytes()),
                    _ if overridden(key) => {}
                    _ => push_record(&mut kept, key, value),
                }
            }
            header.set_size(kept.len() as u64);
            header.set_cksum();
            *data = kept;
            last = Some(index);
        }
        if !records.is_empty() {
            let index = last.unwrap_or_else(|| {
                self.extensions.insert(0, (EntryType::XHeader, pax_header(), Vec::new()));
                0
            });
            let (_, header, data) = &mut self.extensions[index];
            for (key, value) in records.drain(..) {
                push_record(data, &key, &value);
            }
            header.set_size(data.len() as u64);
            header.set_cksum();
        }
        self.extensions.retain(|(kind, _, data)| *kind != EntryType::XHeader || !data.is_empty());
        Ok(())
    }

    fn join(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (_, header, data) in &self.extensions {
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        }
        bytes.extend_from_slice(self.header.as_bytes());
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}

fn pax_header() -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.as_old_mut().name[..10].copy_from_slice(b"PaxHeaders");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn member(kind: EntryType, path: &str, records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions(records.iter().copied()).unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o4755);
        header.set_mtime(7);
        builder.append_data(&mut header, path, &[][..]).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes
    }

    type Records = Vec<(String, Vec<u8>)>;

    /// Reads the path, link target and PAX records.
    fn read(mut headers: Vec<u8>) -> (Vec<u8>, Option<Vec<u8>>, Records) {
        headers.extend_from_slice(&[0; 1024]);
        let mut archive = tar::Archive::new(&headers[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let records = entry
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .map(|record| {
                let record = record.unwrap();
                (record.key().unwrap().to_owned(), record.value_bytes().to_vec())
            })
            .collect();
        assert_eq!(entry.header().mode().unwrap(), 0o4755);
        assert_eq!(entry.header().mtime().unwrap(), 7);
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        let path = entry.path_bytes().into_owned();
        entry.read_to_end(&mut Vec::new()).unwrap();
        (path, link, records)
    }

    fn path(text: &str) -> RootfsPath {
        RootfsPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_new_path_replaces_short_and_long_names_and_leaves_other_records() {
        let capability: (&str, &[u8]) = ("SCHILY.xattr.security.capability", b"\x01\0\0\x02");
        let long = format!("{}/name", "d".repeat(150));
        for old in ["short", long.as_str()] {
            for new in ["other", &format!("{}/other", "e".repeat(200))] {
                let headers = member(EntryType::Regular, old, &[capability]);
                let edited = edit(&headers, &HeaderEdit { path: Some(path(new)), ..HeaderEdit::default() }).unwrap();
                let (read_path, _, records) = read(edited);
                assert_eq!(read_path, new.as_bytes());
                assert!(records.contains(&(capability.0.to_owned(), capability.1.to_vec())));
            }
        }
    }

    #[test]
    fn a_new_link_target_leaves_the_path() {
        let headers = member(EntryType::Link, "b", &[("linkpath", b"a")]);
        for new in ["c", &"x/".repeat(80)] {
            let edited = edit(&headers, &HeaderEdit { link: Some(path(new)), ..HeaderEdit::default() }).unwrap();
            let (read_path, link, _) = read(edited);
            assert_eq!(read_path, b"b");
            assert_eq!(link.as_deref(), Some(path(new).as_bytes()));
        }
    }

    #[test]
    fn bytes_that_are_no_headers_are_refused() {
        let cut = &member(EntryType::Regular, &"d".repeat(150), &[])[..700];
        let nothing = HeaderEdit::default();
        assert_eq!(edit(cut, &nothing), Err(HeaderError::Changed));
        assert_eq!(edit(&[], &nothing), Err(HeaderError::Changed));
    }
}

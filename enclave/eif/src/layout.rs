//! The outline of an image, checked before AWS's crate reads it: the crate believes the sizes that
//! it finds, and stops at the first section that is cut short as if it were the end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use aws_nitro_enclaves_image_format::defs::{
    EifHeader, EifSectionHeader, EifSectionType, CURRENT_VERSION, EIF_MAGIC, MAX_NUM_SECTIONS,
};

use crate::check;
use crate::Outcome;

/// A section: its kind and its size.
pub struct Section {
    /// What it holds.
    pub kind: EifSectionType,
    /// Bytes of data, without its header.
    pub size: u64,
    /// Where its data begin.
    pub offset: u64,
}

/// Of a signature, a command line and metadata.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// The sections of an image. An error for whatever an image of version 4 may not have.
pub fn outline(path: &Path) -> Outcome<(EifHeader, Vec<Section>)> {
    let shown = path.display();
    check::file(path, check::FILE_BYTES_MAX)?;
    path.to_str().ok_or_else(|| format!("{shown}: not UTF-8"))?;
    let mut file = File::open(path).map_err(|error| format!("{shown}: {error}"))?;
    let length = file
        .metadata()
        .map_err(|error| format!("{shown}: {error}"))?
        .len();
    let header = header(&mut file).ok_or_else(|| format!("{shown}: not an image of version 4"))?;
    sections(&mut file, &header, length)
        .map(|found| (header, found))
        .map_err(|what| format!("{shown}: {what}"))
}

fn header(file: &mut File) -> Option<EifHeader> {
    let mut raw = vec![0; EifHeader::size()];
    file.read_exact(&mut raw).ok()?;
    EifHeader::from_be_bytes(&raw)
        .ok()
        .filter(|found| found.magic == EIF_MAGIC && found.version == CURRENT_VERSION)
}

fn sections(file: &mut File, header: &EifHeader, length: u64) -> Outcome<Vec<Section>> {
    let count = usize::from(header.num_sections);
    let beyond = |values: &[u64]| values.iter().any(|&value| value != 0);
    if count > MAX_NUM_SECTIONS
        || beyond(&header.section_offsets[count..])
        || beyond(&header.section_sizes[count..])
        || header.reserved != 0
        || header.unused != 0
    {
        return Err("its header has what it may not have".to_owned());
    }
    let mut at = EifHeader::size() as u64;
    let mut found = Vec::with_capacity(count);
    for index in 0..count {
        let mut raw = vec![0; EifSectionHeader::size()];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut raw))
            .map_err(|_| "it is cut short".to_owned())?;
        let section = EifSectionHeader::from_be_bytes(&raw)
            .map_err(|_| format!("section {index} is of no known kind"))?;
        let offset = at + raw.len() as u64;
        let end = offset.checked_add(section.section_size);
        if header.section_offsets[index] != at
            || header.section_sizes[index] != section.section_size
            || section.flags != 0
        {
            return Err(format!("section {index} is not where the header says"));
        }
        at = end
            .filter(|&end| end <= length)
            .ok_or_else(|| "it is cut short".to_owned())?;
        found.push(Section {
            kind: section.section_type,
            size: section.section_size,
            offset,
        });
    }
    if at != length {
        return Err("bytes follow its last section".to_owned());
    }
    kinds(&found).map(|()| found)
}

/// How many of each kind there must be.
fn kinds(found: &[Section]) -> Outcome<()> {
    let count = |kind| found.iter().filter(|section| section.kind == kind).count();
    let small = found.iter().all(|section| {
        matches!(
            section.kind,
            EifSectionType::EifSectionKernel | EifSectionType::EifSectionRamdisk
        ) || section.size <= SMALL_BYTES_MAX
    });
    // The registers are of what was read in this order.
    let order = found.len() >= 2
        && found[0].kind == EifSectionType::EifSectionKernel
        && found[1].kind == EifSectionType::EifSectionCmdline;
    let good = count(EifSectionType::EifSectionKernel) == 1
        && count(EifSectionType::EifSectionCmdline) == 1
        && count(EifSectionType::EifSectionRamdisk) >= 1
        && count(EifSectionType::EifSectionSignature) <= 1
        && count(EifSectionType::EifSectionMetadata) == 1
        && count(EifSectionType::EifSectionInvalid) == 0;
    if good && order && small {
        Ok(())
    } else {
        Err(
            "an image has one kernel, then one command line, then ramdisks, metadata and at most \
             one signature"
                .to_owned(),
        )
    }
}

/// The data of the first section of a kind.
pub fn data(path: &Path, found: &[Section], kind: EifSectionType) -> Outcome<Vec<u8>> {
    let section = found
        .iter()
        .find(|section| section.kind == kind)
        .ok_or_else(|| "there is no such section".to_owned())?;
    let read = |mut file: File| {
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(section.offset))?;
        file.take(section.size).read_to_end(&mut data)?;
        Ok::<_, std::io::Error>(data)
    };
    File::open(path)
        .and_then(read)
        .map_err(|error| format!("{}: {error}", path.display()))
}

//! Measuring an image, and saying what is in it.

use std::path::Path;

use aws_nitro_enclaves_image_format::defs::EifSectionType;
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use serde_json::{json, Value};

use crate::layout;
use crate::{Measurements, Outcome};

/// The registers of what the crate gives, without the name of the hash.
pub fn registers(mut found: Measurements) -> Measurements {
    found.retain(|name, _| name.starts_with("PCR"));
    found
}

/// The measurements of an image whose checksum is right and whose signature, if any, is good.
pub fn measure(path: &Path) -> Outcome<Measurements> {
    read(path).map(|(_, found, _)| found)
}

/// The reader, the measurements, and what is known of the certificate.
fn read(path: &Path) -> Outcome<(EifReader, Measurements, Value)> {
    layout::outline(path)?;
    let shown = path.display();
    let mut reader = EifReader::from_eif(path.to_string_lossy().into_owned())
        .map_err(|what| format!("{shown}: {what}"))?;
    if !reader.check_crc() {
        return Err(format!("{shown}: the checksum is another: a byte changed"));
    }
    let found = registers(reader.get_measurements()?);
    if reader.signature_section.is_none() {
        return Ok((reader, found, Value::Null));
    }
    let certificate = reader
        .get_certificate_info(found.clone())
        .map_err(|what| format!("{shown}: its signature is not good: {what}"))?;
    if reader.sign_check != Some(true) {
        return Err(format!("{shown}: its signature is of another image"));
    }
    let about = json!({
        "issuer": certificate.issuer_name,
        "algorithm": certificate.algorithm,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
    });
    Ok((reader, found, about))
}

/// What an image says of itself.
pub fn inspect(path: &Path) -> Outcome<Value> {
    let (reader, found, certificate) = read(path)?;
    let (header, sections) = layout::outline(path)?;
    let cmdline = layout::data(path, &sections, EifSectionType::EifSectionCmdline)?;
    let listed: Vec<Value> = sections
        .iter()
        .map(|section| json!({"kind": kind(section.kind), "bytes": section.size}))
        .collect();
    Ok(json!({
        "version": header.version,
        "flags": header.flags,
        "checksum": format!("{:08x}", header.eif_crc32),
        "measurements": found,
        "sections": listed,
        "cmdline": String::from_utf8_lossy(&cmdline),
        "metadata": serde_json::to_value(reader.get_metadata()).unwrap_or(Value::Null),
        "certificate": certificate,
    }))
}

fn kind(of: EifSectionType) -> &'static str {
    match of {
        EifSectionType::EifSectionInvalid => "invalid",
        EifSectionType::EifSectionKernel => "kernel",
        EifSectionType::EifSectionCmdline => "cmdline",
        EifSectionType::EifSectionRamdisk => "ramdisk",
        EifSectionType::EifSectionSignature => "signature",
        EifSectionType::EifSectionMetadata => "metadata",
    }
}

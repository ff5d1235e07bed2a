//! Building an image.

use std::path::{Path, PathBuf};

use aws_nitro_enclaves_image_format::defs::{EifBuildInfo, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::{EifBuilder, SignKeyData};
use serde_json::Value;
use sha2::{Digest, Sha384};

use crate::check::{self, Draft};
use crate::measure;
use crate::{Measurements, Outcome};

/// All that an image comes from. Equal recipes give equal bytes, but for a signature.
pub struct Recipe {
    /// A bzImage.
    pub kernel: PathBuf,
    /// The kernel's command line, to which the hypervisor adds.
    pub cmdline: String,
    /// The first is measured in PCR1, the others in PCR2.
    pub ramdisks: Vec<PathBuf>,
    /// Name of the image, in the metadata.
    pub name: String,
    /// Version of the image, in the metadata.
    pub version: String,
    /// Version of the kernel, in the metadata.
    pub kernel_version: String,
    /// A time for the metadata; no clock is asked.
    pub built_at: String,
    /// Key and certificate, both PEM.
    pub signer: Option<(PathBuf, PathBuf)>,
}

impl Recipe {
    fn check(&self) -> Outcome<()> {
        check::kernel(&self.kernel)?;
        check::cmdline(&self.cmdline)?;
        if self.ramdisks.is_empty() || self.ramdisks.len() > check::RAMDISKS_MAX {
            return Err(format!(
                "{} ramdisks; there must be 1 to {}",
                self.ramdisks.len(),
                check::RAMDISKS_MAX
            ));
        }
        for ramdisk in &self.ramdisks {
            check::file(ramdisk, check::FILE_BYTES_MAX)?;
        }
        for (what, value) in [
            ("name", &self.name),
            ("version", &self.version),
            ("kernel version", &self.kernel_version),
            ("time", &self.built_at),
        ] {
            check::text(what, value)?;
        }
        match &self.signer {
            Some((key, certificate)) => check::signer(key, certificate),
            None => Ok(()),
        }
    }

    fn metadata(&self) -> EifIdentityInfo {
        EifIdentityInfo {
            img_name: self.name.clone(),
            img_version: self.version.clone(),
            build_info: EifBuildInfo {
                build_time: self.built_at.clone(),
                build_tool: env!("CARGO_PKG_NAME").to_owned(),
                build_tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                img_os: "Linux".to_owned(),
                img_kernel: self.kernel_version.clone(),
            },
            docker_info: Value::Null,
            custom_info: Value::Null,
        }
    }
}

/// Builds an image, reads it back, and moves it to its place.
pub fn build(recipe: &Recipe, out: &Path) -> Outcome<Measurements> {
    recipe.check()?;
    let signer = match &recipe.signer {
        Some((key, certificate)) => Some(SignKeyData::new(&key.to_string_lossy(), certificate)?),
        None => None,
    };
    let mut draft = Draft::new(out)?;
    let mut builder = EifBuilder::new(
        &recipe.kernel,
        recipe.cmdline.clone(),
        signer,
        Sha384::new(),
        0,
        recipe.metadata(),
    );
    for ramdisk in &recipe.ramdisks {
        builder.add_ramdisk(ramdisk);
    }
    let built = measure::registers(builder.write_to(&mut draft.file));
    let read = measure::measure(draft.path())?;
    if built != read {
        return Err("what was written measures otherwise than what was meant".to_owned());
    }
    draft.keep()?;
    Ok(read)
}

//! Signing an image that was built before.

use std::fs;
use std::path::Path;

use aws_nitro_enclaves_image_format::utils::{EifSigner, SignKeyData};

use crate::check::{self, Draft};
use crate::measure;
use crate::{Measurements, Outcome};

/// Signs an image, reads it back, and moves it to its place.
///
/// A signed one is refused: of a signature with another length the crate would leave the old size in
/// the header.
pub fn sign(path: &Path, out: &Path, key: &Path, certificate: &Path) -> Outcome<Measurements> {
    check::signer(key, certificate)?;
    let before = measure::measure(path)?;
    if before.contains_key("PCR8") {
        return Err(format!(
            "{}: it is signed; sign the image that was built",
            path.display()
        ));
    }
    let draft = Draft::new(out)?;
    fs::copy(path, draft.path()).map_err(|error| format!("{}: {error}", out.display()))?;
    let data = SignKeyData::new(&key.to_string_lossy(), certificate)?;
    let shown = draft.path().to_string_lossy().into_owned();
    EifSigner::new(Some(data))
        .ok_or_else(|| "there is no signer".to_owned())?
        .sign_image(&shown)?;
    let after = measure::measure(draft.path())?;
    let same = |name: &str| before.get(name) == after.get(name);
    if !(same("PCR0") && same("PCR1") && same("PCR2") && after.contains_key("PCR8")) {
        return Err("signing changed the image".to_owned());
    }
    draft.keep()?;
    Ok(after)
}

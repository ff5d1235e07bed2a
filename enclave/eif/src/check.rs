//! What goes into an image, checked before AWS's crate sees it.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use openssl::pkey::{Id, PKey};
use openssl::x509::X509;

use crate::Outcome;

/// Of a kernel and of a ramdisk. An enclave holds them in memory.
pub const FILE_BYTES_MAX: u64 = 512 << 20;
/// The header has room for 32 sections; kernel, command line, metadata and signature are four.
pub const RAMDISKS_MAX: usize = 28;
/// What Linux takes on x86 (`COMMAND_LINE_SIZE`), and what the hypervisor adds.
pub const CMDLINE_BYTES_MAX: usize = 1024;
/// Of names and versions in the metadata.
pub const TEXT_BYTES_MAX: usize = 128;
/// Of a key and of a certificate.
pub const PEM_BYTES_MAX: u64 = 64 << 10;

/// Where a bzImage says that it is one (Documentation/arch/x86/boot.rst).
const BOOT_MAGIC_OFFSET: usize = 0x202;
const BOOT_MAGIC: &[u8] = b"HdrS";

/// A key and its certificate, or neither.
pub fn both(
    key: Option<PathBuf>,
    certificate: Option<PathBuf>,
) -> Outcome<Option<(PathBuf, PathBuf)>> {
    match (key, certificate) {
        (Some(key), Some(certificate)) => Ok(Some((key, certificate))),
        (None, None) => Ok(None),
        _ => Err("a signed image needs both a key and its certificate".to_owned()),
    }
}

/// A regular file of at least one byte and at most so many.
pub fn file(path: &Path, bytes_max: u64) -> Outcome<()> {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown}: not a regular file"));
    }
    if found.len() == 0 || found.len() > bytes_max {
        return Err(format!(
            "{shown}: {} bytes; it must have 1 to {bytes_max}",
            found.len()
        ));
    }
    File::open(path)
        .map(|_| ())
        .map_err(|error| format!("{shown}: {error}"))
}

/// A kernel: a bzImage, which is what the hypervisor starts.
pub fn kernel(path: &Path) -> Outcome<()> {
    file(path, FILE_BYTES_MAX)?;
    let mut head = vec![0; BOOT_MAGIC_OFFSET + BOOT_MAGIC.len()];
    let read = File::open(path).and_then(|mut opened| opened.read_exact(&mut head));
    if read.is_err() || !head.ends_with(BOOT_MAGIC) {
        return Err(format!("{}: not a bzImage of x86", path.display()));
    }
    Ok(())
}

/// A command line: printable ASCII on one line.
pub fn cmdline(text: &str) -> Outcome<()> {
    if text.is_empty() || text.len() > CMDLINE_BYTES_MAX {
        return Err(format!(
            "the command line has {} bytes; it must have 1 to {CMDLINE_BYTES_MAX}",
            text.len()
        ));
    }
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err("the command line has a byte that is not printable ASCII".to_owned());
    }
    Ok(())
}

/// A name or a version of the metadata.
pub fn text(what: &str, value: &str) -> Outcome<()> {
    if value.is_empty() || value.len() > TEXT_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(format!(
            "{what}: 1 to {TEXT_BYTES_MAX} bytes of text are needed, without control characters"
        ));
    }
    Ok(())
}

/// A private key on one of the curves that Nitro takes, and the certificate of that same key.
pub fn signer(key: &Path, certificate: &Path) -> Outcome<()> {
    // Such a name would make the crate ask a server.
    if key.to_string_lossy().starts_with("arn:") {
        return Err("keys of KMS are not taken: name a file".to_owned());
    }
    file(key, PEM_BYTES_MAX)?;
    file(certificate, PEM_BYTES_MAX)?;
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    // With a passphrase OpenSSL would ask for it on the terminal.
    let private = PKey::private_key_from_pem_callback(&read(key)?, |_| Ok(0))
        .map_err(|_| format!("{}: not a private key (PEM, no passphrase)", key.display()))?;
    let shown = X509::from_pem(&read(certificate)?)
        .map_err(|_| format!("{}: not a certificate (PEM)", certificate.display()))?;
    if private.id() != Id::EC {
        return Err(format!(
            "{}: not an EC key; P-384 is what Nitro signs with",
            key.display()
        ));
    }
    let public = shown
        .public_key()
        .map_err(|_| format!("{}: its key cannot be read", certificate.display()))?;
    if !private.public_eq(&public) {
        return Err(format!(
            "{} is not the certificate of {}",
            certificate.display(),
            key.display()
        ));
    }
    Ok(())
}

/// A file beside its place, that gets there by [`Draft::keep`] and else goes away.
pub struct Draft {
    path: PathBuf,
    out: PathBuf,
    /// Open for reading and writing, empty.
    pub file: File,
}

impl Draft {
    /// A new draft of a file.
    pub fn new(out: &Path) -> Outcome<Self> {
        let name = out
            .file_name()
            .ok_or_else(|| format!("{}: not a name of a file", out.display()))?;
        let mut draft = name.to_os_string();
        draft.push(".part");
        let path = out.with_file_name(draft);
        // A path that the crate can take as text.
        path.to_str()
            .ok_or_else(|| format!("{}: not UTF-8", path.display()))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let out = out.to_owned();
        Ok(Self { path, out, file })
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it to its place, once it is on the disk.
    pub fn keep(self) -> Outcome<()> {
        let shown = self.out.display();
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, &self.out))
            .map_err(|error| format!("{shown}: {error}"))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

//! The Python module `sentinel_eif`: AWS's crate for enclave images, behind checks of its own.
//!
//! The crate panics on much of what is wrong with its input, and takes sizes from files as they
//! stand. So everything is checked here first ([`check`], [`layout`]), results are written beside
//! their place and moved there when complete, and a panic that comes all the same is an error.

// PyO3 hands arguments over by value.
#![allow(clippy::needless_pass_by_value)]

mod build;
mod check;
mod layout;
mod measure;
mod sign;

use std::collections::BTreeMap;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::path::PathBuf;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    sentinel_eif,
    EifError,
    PyException,
    "An image, or what it is to be made of, is not as it must be."
);

/// Registers by name (`PCR0`), in hexadecimal.
type Measurements = BTreeMap<String, String>;
/// What is wrong, in words.
type Outcome<T> = Result<T, String>;

/// Runs what calls AWS's crate; a panic is an error like others.
fn guarded<T>(py: Python<'_>, work: impl FnOnce() -> Outcome<T> + Send) -> PyResult<T>
where
    T: Send,
{
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .unwrap_or_else(|_| Err("the image format's library broke off".to_owned()))
        .map_err(EifError::new_err)
}

/// Builds an image and returns its measurements.
#[pyfunction]
#[pyo3(name = "build", signature = (out, *, kernel, cmdline, ramdisks, name, version, kernel_version, built_at,
                    key=None, certificate=None))]
#[allow(clippy::too_many_arguments)]
fn build_image(
    py: Python<'_>,
    out: PathBuf,
    kernel: PathBuf,
    cmdline: String,
    ramdisks: Vec<PathBuf>,
    name: String,
    version: String,
    kernel_version: String,
    built_at: String,
    key: Option<PathBuf>,
    certificate: Option<PathBuf>,
) -> PyResult<Measurements> {
    let recipe = build::Recipe {
        kernel,
        cmdline,
        ramdisks,
        name,
        version,
        kernel_version,
        built_at,
        signer: check::both(key, certificate).map_err(EifError::new_err)?,
    };
    guarded(py, || build::build(&recipe, &out))
}

/// The measurements of an image.
#[pyfunction]
#[pyo3(name = "measure")]
fn measure_image(py: Python<'_>, path: PathBuf) -> PyResult<Measurements> {
    guarded(py, || measure::measure(&path))
}

/// What an image says of itself, with its measurements, as JSON.
#[pyfunction]
fn inspect_json(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    guarded(py, || {
        measure::inspect(&path).map(|found| found.to_string())
    })
}

/// Signs an image into another file and returns its measurements.
#[pyfunction]
#[pyo3(name = "sign", signature = (path, out, *, key, certificate))]
fn sign_image(
    py: Python<'_>,
    path: PathBuf,
    out: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
) -> PyResult<Measurements> {
    guarded(py, || sign::sign(&path, &out, &key, &certificate))
}

/// The module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // The error says what happened; the crate's own words on standard error would be a second time.
    set_hook(Box::new(|_| ()));
    module.add("EifError", module.py().get_type::<EifError>())?;
    module.add_function(wrap_pyfunction!(build_image, module)?)?;
    module.add_function(wrap_pyfunction!(measure_image, module)?)?;
    module.add_function(wrap_pyfunction!(inspect_json, module)?)?;
    module.add_function(wrap_pyfunction!(sign_image, module)?)
}

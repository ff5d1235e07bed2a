//! In place of AWS's crate; see `../README.md`.

use error::SdkError;
use primitives::Blob;
use types::{MessageType, SigningAlgorithmSpec};

/// Where the client is found, too.
pub mod client {
    pub use super::Client;
}

/// A client that refuses every call.
#[derive(Clone, Debug)]
pub struct Client;

impl Client {
    /// A client of nobody.
    #[must_use]
    pub fn new(_config: &aws_types::SdkConfig) -> Self {
        Self
    }

    /// Refused when sent.
    #[must_use]
    pub fn get_public_key(&self) -> Call<operation::get_public_key::GetPublicKey> {
        Call::default()
    }

    /// Refused when sent.
    #[must_use]
    pub fn sign(&self) -> Call<operation::sign::Sign> {
        Call::default()
    }

    /// Refused when sent.
    #[must_use]
    pub fn verify(&self) -> Call<operation::verify::Verify> {
        Call::default()
    }
}

/// An operation: what it would give, and how it would fail.
pub trait Operation {
    /// What it would give.
    type Output;
    /// How it would fail.
    type Error;
}

/// A call that is never made.
pub struct Call<T>(std::marker::PhantomData<T>);

impl<T> Default for Call<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: Operation> Call<T> {
    /// Forgotten.
    #[must_use]
    pub fn key_id(self, _id: String) -> Self {
        self
    }

    /// Forgotten.
    #[must_use]
    pub fn message(self, _message: Blob) -> Self {
        self
    }

    /// Forgotten.
    #[must_use]
    pub fn message_type(self, _kind: MessageType) -> Self {
        self
    }

    /// Forgotten.
    #[must_use]
    pub fn signing_algorithm(self, _algorithm: SigningAlgorithmSpec) -> Self {
        self
    }

    /// Forgotten.
    #[must_use]
    pub fn signature(self, _signature: Blob) -> Self {
        self
    }

    /// Refused.
    ///
    /// # Errors
    ///
    /// Always.
    #[allow(clippy::unused_async)]
    pub async fn send(self) -> Result<T::Output, SdkError<T::Error>> {
        Err(SdkError::Absent)
    }
}

/// Operations, as their errors are named.
pub mod operation {
    macro_rules! operation {
        ($module:ident, $name:ident, $error:ident, $output:ident { $field:ident: $kind:ty }) => {
            /// An operation.
            pub mod $module {
                /// The operation.
                pub struct $name;
                /// How it would fail.
                #[derive(Debug)]
                pub struct $error;
                /// What it would give.
                pub struct $output {
                    /// Its only part that is read.
                    pub $field: $kind,
                }
                impl crate::Operation for $name {
                    type Output = $output;
                    type Error = $error;
                }
            }
        };
    }
    use crate::primitives::Blob;
    operation!(get_public_key, GetPublicKey, GetPublicKeyError, GetPublicKeyOutput {
        public_key: Option<super::Blob>
    });
    operation!(sign, Sign, SignError, SignOutput { signature: Option<super::Blob> });
    operation!(verify, Verify, VerifyError, VerifyOutput { signature_valid: bool });

    impl verify::VerifyError {
        /// Never: nothing was verified.
        #[must_use]
        pub fn is_kms_invalid_signature_exception(&self) -> bool {
            false
        }
    }
}

/// Bytes.
pub mod primitives {
    /// Bytes.
    #[derive(Clone, Debug)]
    pub struct Blob(Vec<u8>);

    impl Blob {
        /// Bytes.
        #[must_use]
        pub fn new(bytes: Vec<u8>) -> Self {
            Self(bytes)
        }
    }

    impl AsRef<[u8]> for Blob {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
}

/// Parameters of calls.
pub mod types {
    /// What a message is.
    pub enum MessageType {
        /// A digest.
        Digest,
    }

    /// Algorithms.
    pub enum SigningAlgorithmSpec {
        /// P-256.
        EcdsaSha256,
        /// P-384.
        EcdsaSha384,
        /// P-521.
        EcdsaSha512,
    }
}

/// How calls fail.
pub mod error {
    use std::fmt;

    /// Why a call failed.
    #[derive(Debug)]
    pub enum SdkError<E> {
        /// The client is not in this program.
        Absent,
        /// What a service would say.
        ServiceError(ServiceError<E>),
    }

    /// What a service would say.
    #[derive(Debug)]
    pub struct ServiceError<E>(E);

    impl<E> ServiceError<E> {
        /// Its cause.
        pub fn err(&self) -> &E {
            &self.0
        }
    }

    impl<E> fmt::Display for SdkError<E> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("keys of KMS are not taken by this program")
        }
    }

    /// Code and text of an error.
    pub trait ProvideErrorMetadata {
        /// None.
        fn code(&self) -> Option<&str> {
            None
        }
        /// None.
        fn message(&self) -> Option<&str> {
            None
        }
    }

    impl<E> ProvideErrorMetadata for SdkError<E> {}
}

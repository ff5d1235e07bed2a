//! In place of AWS's crate; see `../README.md`.

use aws_types::region::Region;
use aws_types::SdkConfig;

/// A version of behaviour that there is not.
pub struct BehaviorVersion;

impl BehaviorVersion {
    /// The only one.
    #[must_use]
    pub fn latest() -> Self {
        Self
    }
}

/// Loads nothing.
pub struct ConfigLoader;

/// A loader of nothing.
#[must_use]
pub fn defaults(_version: BehaviorVersion) -> ConfigLoader {
    ConfigLoader
}

impl ConfigLoader {
    /// Forgets the region.
    #[must_use]
    pub fn region(self, _region: Region) -> Self {
        self
    }

    /// A configuration without a region; no file and no server is asked.
    #[allow(clippy::unused_async)]
    pub async fn load(self) -> SdkConfig {
        SdkConfig
    }
}

//! Whom registries are believed to be, and whom we say we are.

use super::registry::RegistryError;

/// Certificates beside the system's.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    pub(super) authorities: Vec<reqwest::Certificate>,
    pub(super) identity: Option<reqwest::Identity>,
}

impl Tls {
    /// Trusts authorities, in PEM, too.
    ///
    /// # Errors
    /// If the text is no PEM.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), RegistryError> {
        let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(RegistryError::Tls)?;
        if authorities.is_empty() {
            return Err(RegistryError::NoCertificate);
        }
        self.authorities.extend(authorities);
        Ok(())
    }

    /// Shows a certificate to registries that ask for one: certificate and key, in PEM.
    ///
    /// # Errors
    /// If the text is no PEM, or lacks one of the two.
    pub fn identify(&mut self, pem: &[u8]) -> Result<(), RegistryError> {
        self.identity = Some(reqwest::Identity::from_pem(pem).map_err(RegistryError::Tls)?);
        Ok(())
    }
}

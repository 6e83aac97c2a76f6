//! TLS configuration: certificate authorities and the client certificate.

use super::error::RegistryError;

/// Certificates besides those of the system.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    pub(crate) authorities: Vec<reqwest::Certificate>,
    pub(crate) identity: Option<reqwest::Identity>,
}

impl Tls {
    /// Trusts more certificate authorities, given in PEM.
    ///
    /// # Errors
    /// If the text is not PEM, or has no certificate.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), RegistryError> {
        let authorities = reqwest::Certificate::from_pem_bundle(pem);
        let authorities = authorities.map_err(RegistryError::tls)?;
        if authorities.is_empty() {
            return Err(RegistryError::NoCertificate);
        }
        self.authorities.extend(authorities);
        Ok(())
    }

    /// Sets the certificate that is sent to registries that ask for one. `pem` holds certificate and key.
    ///
    /// # Errors
    /// If the text is not PEM, or lacks one of the two.
    pub fn identify(&mut self, pem: &[u8]) -> Result<(), RegistryError> {
        let identity = reqwest::Identity::from_pem(pem);
        self.identity = Some(identity.map_err(RegistryError::tls)?);
        Ok(())
    }
}

//! A certificate for loopback, and the authority that signs it, made anew each time.

use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// What a server needs that speaks TLS on 127.0.0.1.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    authority: String,
}

impl Tls {
    pub(crate) fn new() -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: OpenSSL takes a certificate whose issuer has the same name for signed by itself.
        authority.distinguished_name.push(DnType::CommonName, "the local cloud");
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let signed = authority.self_signed(&key)?;
        let issuer = Issuer::new(authority, key);
        let own = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&own, &issuer)?;
        let private = PrivateKeyDer::try_from(own.serialize_der())
            .ok()
            .context("a key in PKCS #8")?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], private)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: signed.pem(),
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Its certificate, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

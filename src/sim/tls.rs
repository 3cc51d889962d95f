//! A certificate authority of our own, and a certificate for every host that is played.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Hosts of contract 8.1.
const HOSTS: [&str; 14] = [
    "photos.google.com",
    "accounts.google.com",
    "www.google.com",
    "google.com",
    "*.google.com",
    "googleusercontent.com",
    "*.googleusercontent.com",
    "photos.fife.usercontent.google.com",
    "*.usercontent.google.com",
    "*.googleapis.com",
    "*.gstatic.com",
    "ogs.google.com",
    "play.google.com",
    "localhost",
];

/// The authority.
pub(crate) struct Authority {
    key: KeyPair,
    params: CertificateParams,
    pem: String,
}

impl Authority {
    /// Opens the authority kept in `dir`, or makes one there.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let (key_file, ca_file) = (dir.join("ca.key"), dir.join("ca.pem"));
        let key = match fs::read_to_string(&key_file) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(io::Error::other)?,
            Err(_) => KeyPair::generate().map_err(io::Error::other)?,
        };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "photos-sim test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2024, 1, 1), rcgen::date_time_ymd(2049, 1, 1));
        let pem = match fs::read_to_string(&ca_file) {
            Ok(pem) if key_file.exists() => pem,
            _ => {
                let certificate = params.clone().self_signed(&key).map_err(io::Error::other)?;
                fs::write(&key_file, key.serialize_pem())?;
                fs::write(&ca_file, certificate.pem())?;
                certificate.pem()
            }
        };
        Ok(Self { key, params, pem })
    }

    /// The authority's certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS with a fresh certificate for every host, HTTP/2 and 1.1.
    pub(crate) fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let hosts: Vec<String> = HOSTS.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, "photos.google.com");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Browsers refuse certificates that are valid for more than 398 days.
        let today = jiff::Zoned::now().date();
        let date =
            |d: jiff::civil::Date| rcgen::date_time_ymd(d.year().into(), d.month() as u8, d.day() as u8);
        let (yesterday, later) = (today.yesterday(), today.checked_add(jiff::Span::new().days(300)));
        params.not_before = date(yesterday.map_err(io::Error::other)?);
        params.not_after = date(later.map_err(io::Error::other)?);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let leaf = params.signed_by(&key, &issuer).map_err(io::Error::other)?;
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

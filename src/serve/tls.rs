//! The page with TLS: with a certificate of its own, or with one that somebody renews now and then.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::model::digest::digests_of;
use crate::small_file;

/// Longest file of a certificate or key, bytes.
const LONGEST: u64 = 1 << 20;
/// The files are looked at once in this time, however many connections come.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Time that a connection has to say what it wants.
const LIMIT: Duration = Duration::from_secs(10);
/// Most connections that are still being greeted.
const MOST: usize = 64;
/// How every TLS connection begins: a handshake record.
const HANDSHAKE: u8 = 0x16;
/// What a browser is told that forgot the `s`.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 57\r\nconnection: close\r\n\r\n\
                       This page is encrypted: its address begins with https://\n";

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Made by ourselves, once.
    Own,
    /// PEM files of a certificate, with those between it and an authority, and of its key.
    Files {
        /// The certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

impl std::str::FromStr for Tls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(',') {
            None if text == "self" => Ok(Self::Own),
            Some((certificate, key)) if !certificate.trim().is_empty() && !key.trim().is_empty() => {
                Ok(Self::Files { certificate: certificate.trim().into(), key: key.trim().into() })
            }
            _ => Err("is `self`, or two files: CERTIFICATE.pem,KEY.pem".into()),
        }
    }
}

/// A certificate that follows its files.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    now: Mutex<Now>,
}

struct Now {
    key: Arc<CertifiedKey>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// Tells whether a file was changed: time of change and length of both.
type Stamp = [(i64, i64, u64, u64); 2];

impl Certificate {
    /// Reads the certificate, or makes one first for these names if it is our own: it is kept in `dir`.
    ///
    /// # Errors
    /// When a file is not there, is none, or the key is another certificate's; in words that name the file.
    pub fn open(tls: &Tls, dir: &Path, names: &[String]) -> Result<Self, String> {
        let (certificate, key) = match tls {
            Tls::Files { certificate, key } => (certificate.clone(), key.clone()),
            Tls::Own => {
                let file = dir.join("shoebox-tls.pem");
                if !file.exists() {
                    make(&file, names)
                        .map_err(|e| format!("a certificate could not be kept in {}: {e}", file.display()))?;
                }
                (file.clone(), file)
            }
        };
        let stamp = stamp(&certificate, &key);
        let read = read(&certificate, &key)?;
        let now = Mutex::new(Now { key: Arc::new(read), stamp, looked: Instant::now() });
        Ok(Self { certificate, key, now })
    }

    /// SHA-256 of the certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.present())
    }

    /// What is in the files now; if that is nothing of use, what was in them before.
    fn present(&self) -> Arc<CertifiedKey> {
        let mut now = self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if now.looked.elapsed() < BETWEEN_LOOKS {
            return Arc::clone(&now.key);
        }
        now.looked = Instant::now();
        let stamp = stamp(&self.certificate, &self.key);
        if stamp != now.stamp {
            now.stamp = stamp;
            match read(&self.certificate, &self.key) {
                Ok(key) => {
                    now.key = Arc::new(key);
                    tracing::info!("the page has a new certificate: SHA-256 {}", fingerprint(&now.key));
                }
                // Whoever renews it writes one file after the other.
                Err(why) => tracing::warn!("the page keeps its earlier certificate: {why}"),
            }
        }
        Arc::clone(&now.key)
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.certificate.display())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present())
    }
}

fn fingerprint(key: &CertifiedKey) -> String {
    let hex = key.cert.first().map(|first| digests_of(first).sha256.hex()).unwrap_or_default();
    hex.as_bytes().chunks(2).enumerate().fold(String::new(), |mut text, (n, pair)| {
        let pair = String::from_utf8_lossy(pair).to_uppercase();
        // Writing to a text does not fail.
        let _infallible = write!(text, "{}{pair}", if n > 0 { ":" } else { "" });
        text
    })
}

fn stamp(certificate: &Path, key: &Path) -> Option<Stamp> {
    let one = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some((data.mtime(), data.mtime_nsec(), data.len(), data.ino()))
    };
    Some([one(certificate)?, one(key)?])
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let of = |path: &Path| bytes(path).map_err(|e| format!("{} cannot be read: {e}", path.display()));
    let chain = CertificateDer::pem_slice_iter(&of(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("{} is no certificate in PEM: {e}", certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate in PEM", certificate.display()));
    }
    // The error says what was expected, never what is there.
    let found = PrivateKeyDer::from_pem_slice(&of(key)?)
        .map_err(|_| format!("{} holds no key in PEM without a password", key.display()))?;
    CertifiedKey::from_der(chain, found, &rustls::crypto::ring::default_provider()).map_err(|e| match e {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!(
                "the key in {} is not that of the certificate in {}",
                key.display(),
                certificate.display()
            )
        }
        e => format!("{} and {} cannot be used: {e}", certificate.display(), key.display()),
    })
}

/// Makes a certificate that nobody vouches for. It has no end that matters: people trust its fingerprint.
fn make(file: &Path, names: &[String]) -> io::Result<()> {
    let mut params = rcgen::CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "shoebox");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2099, 12, 31));
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    small_file::write(file, format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes())
}

/// Connections that have been greeted.
pub struct Greeted {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    local: SocketAddr,
    greeting: JoinHandle<()>,
}

impl Greeted {
    /// Greets whoever comes, all at the same time: nobody waits for one who says nothing.
    ///
    /// # Errors
    /// When the system does not say where it listens.
    pub fn new(mut listener: TcpListener, certificate: Arc<Certificate>) -> io::Result<Self> {
        let local = listener.local_addr()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (greeted, ready) = mpsc::channel(MOST);
        let places = Arc::new(Semaphore::new(MOST));
        let greeting = tokio::spawn(async move {
            loop {
                // Never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (stream, from) = Listener::accept(&mut listener).await;
                let (acceptor, greeted) = (acceptor.clone(), greeted.clone());
                tokio::spawn(async move {
                    match timeout(LIMIT, greet(stream, &acceptor)).await {
                        // Whoever stops serving drops what waits.
                        Ok(Ok(Some(stream))) => drop(greeted.send((stream, from)).await),
                        Ok(Ok(None)) => {}
                        Ok(Err(e)) => tracing::debug!("{from} was not greeted: {e}"),
                        Err(_) => tracing::debug!("{from} said nothing"),
                    }
                    drop(place);
                });
            }
        });
        Ok(Self { ready, local, greeting })
    }
}

impl Drop for Greeted {
    fn drop(&mut self) {
        self.greeting.abort();
    }
}

impl Listener for Greeted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(one) => one,
            // The greeting ends with us.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// Nothing for those who do not speak TLS: they are told so.
async fn greet(mut stream: TcpStream, acceptor: &TlsAcceptor) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] == HANDSHAKE {
        return acceptor.accept(stream).await.map(Some);
    }
    stream.write_all(PLAIN).await?;
    stream.shutdown().await?;
    // What is not read makes the system take the answer back.
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_setting_is_one_word_or_two_files() {
        assert_eq!("self".parse(), Ok(Tls::Own));
        let files = Tls::Files { certificate: "/c.pem".into(), key: "k.pem".into() };
        assert_eq!("/c.pem, k.pem".parse(), Ok(files));
        for bad in ["", "/c.pem", ",k.pem", "/c.pem,", "Self"] {
            assert!(bad.parse::<Tls>().is_err(), "{bad}");
        }
    }

    #[test]
    fn our_own_is_made_once_and_for_our_eyes_alone() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Certificate::open(&Tls::Own, dir.path(), &["nas".into(), "10.0.0.2".into()]).unwrap();
        let first = open().fingerprint();
        assert_eq!((first.len(), first.matches(':').count()), (95, 31), "{first}");
        assert_eq!(open().fingerprint(), first);
        let mode = fs::metadata(dir.path().join("shoebox-tls.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_wrong_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let file = dir.path().join(name);
            make(&file, &["nas".into()]).unwrap();
            file
        };
        let (one, other) = (made("one.pem"), made("other.pem"));
        let (absent, text, long) =
            (dir.path().join("absent"), dir.path().join("text"), dir.path().join("long"));
        fs::write(&text, "s3cret").unwrap();
        fs::write(&long, vec![b'x'; LONGEST as usize + 1]).unwrap();
        for (certificate, key, says) in [
            (&one, &other, "is not that of the certificate"),
            (&absent, &one, "absent cannot be read"),
            (&one, &absent, "absent cannot be read"),
            (&text, &one, "holds no certificate"),
            (&one, &text, "holds no key"),
            (&long, &one, "longer than"),
        ] {
            let tls = Tls::Files { certificate: certificate.clone(), key: key.clone() };
            let why = Certificate::open(&tls, dir.path(), &[]).unwrap_err();
            assert!(why.contains(says) && !why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}

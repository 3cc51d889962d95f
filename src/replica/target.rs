//! Where a replica is: `s3://bucket/prefix`, or a directory.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::ReplicaError;

/// How long a request may go on without an answer, and how long one is tried again.
const ANSWER: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);
const RETRIES: usize = 6;
/// All of these for somebody who waits.
const HASTY: Duration = Duration::from_secs(5);
const RETRY_FOR: Duration = Duration::from_secs(120);

/// A place for a replica.
#[derive(Clone, Debug)]
pub struct Target {
    place: Place,
    prefix: ObjectPath,
    s3: S3Settings,
    /// Somebody waits for every answer.
    hasty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Bucket(String),
    Directory(PathBuf),
}

/// How a server of object storage is reached.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// Address of the server; Amazon's own if there is none.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Name of the access key.
    pub key: Option<String>,
    /// Its secret.
    pub secret: Option<String>,
    /// A file of certificate authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// The server knows no header with a checksum.
    pub no_checksum: bool,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key and its secret are nobody's business.
        let Self { endpoint, region, ca, .. } = self;
        f.debug_struct("S3Settings")
            .field("endpoint", endpoint)
            .field("region", region)
            .field("ca", ca)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Bucket(bucket) if self.prefix.as_ref().is_empty() => write!(f, "s3://{bucket}"),
            Place::Bucket(bucket) => write!(f, "s3://{bucket}/{}", self.prefix),
            Place::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let s3 = S3Settings::default();
        let Some(rest) = text.strip_prefix("s3://") else {
            if text.contains("://") {
                return Err("a replica is s3://BUCKET/PREFIX or a directory".into());
            }
            if text.is_empty() {
                return Err("a directory has a name".into());
            }
            return Ok(Self {
                place: Place::Directory(PathBuf::from(text)),
                prefix: ObjectPath::default(),
                s3,
                hasty: false,
            });
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(is_name) {
            return Err(format!("{bucket:?} is no name of a bucket: it is s3://BUCKET/PREFIX"));
        }
        let prefix = prefix.trim_end_matches('/');
        if prefix.starts_with('/') {
            return Err("a prefix has no empty parts".into());
        }
        let prefix = ObjectPath::parse(prefix).map_err(|e| e.to_string())?;
        Ok(Self { place: Place::Bucket(bucket.to_owned()), prefix, s3, hasty: false })
    }
}

impl Target {
    /// The same place, reached in this way.
    pub fn with(self, s3: S3Settings) -> Self {
        Self { s3, ..self }
    }

    /// The same place, for somebody who waits for every answer: rather an error than a long wait.
    pub fn hasty(self) -> Self {
        Self { hasty: true, ..self }
    }

    pub(super) const fn is_hasty(&self) -> bool {
        self.hasty
    }

    /// Where it is a directory.
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(path) => Some(path),
            Place::Bucket(_) => None,
        }
    }

    /// Which one it is, however its directory was written.
    pub fn key(&self) -> String {
        let Some(path) = self.directory() else { return self.to_string() };
        let whole = path.canonicalize().or_else(|_| std::path::absolute(path));
        // A slash at the end is no other place.
        whole.map_or_else(
            |_| self.to_string(),
            |path| path.components().collect::<PathBuf>().display().to_string(),
        )
    }

    pub(super) fn prefix(&self) -> &ObjectPath {
        &self.prefix
    }

    /// Opens it; `to_write` makes a directory that is not there.
    pub(super) fn open(&self, to_write: bool) -> Result<Arc<dyn ObjectStore>, ReplicaError> {
        match &self.place {
            Place::Directory(path) => self.open_directory(path, to_write),
            Place::Bucket(bucket) => self.open_bucket(bucket, to_write),
        }
    }

    fn open_directory(&self, path: &Path, to_write: bool) -> Result<Arc<dyn ObjectStore>, ReplicaError> {
        let failed = |why: String| ReplicaError::Unreachable { target: self.to_string(), why };
        if to_write {
            // Its parent must be there: a disk that is not plugged in is not made up for.
            match std::fs::create_dir(path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed(error.to_string()));
                }
                _ => {}
            }
        }
        let directory = LocalFileSystem::new_with_prefix(path).map_err(|e| failed(in_words(&e)))?;
        Ok(Arc::new(directory.with_fsync(true)))
    }

    fn open_bucket(&self, bucket: &str, to_write: bool) -> Result<Arc<dyn ObjectStore>, ReplicaError> {
        let S3Settings { endpoint, region, key, secret, ca, no_checksum } = &self.s3;
        let usage = |why: String| ReplicaError::Usage(format!("{self}: {why}"));
        let (Some(key), Some(secret)) = (key, secret) else {
            return Err(usage("needs a key and its secret: SHOEBOX_S3_KEY and SHOEBOX_S3_SECRET".into()));
        };
        // Whoever was first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = ClientOptions::new().with_timeout_disabled().with_connect_timeout(if self.hasty {
            HASTY
        } else {
            CONNECT
        });
        // It runs while an upload goes out, too, and slow lines take their time: who sends has limits of their own.
        if !to_write {
            client = client.with_read_timeout(if self.hasty { HASTY } else { ANSWER });
        }
        if let Some(ca) = ca {
            let pem = std::fs::read(ca).map_err(|e| usage(format!("{}: {e}", ca.display())))?;
            let certificates = Certificate::from_pem_bundle(&pem);
            for certificate in certificates.map_err(|e| usage(format!("{}: {e}", ca.display())))? {
                client = client.with_root_certificate(certificate);
            }
        }
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_bucket_name(bucket)
            .with_region(region.as_deref().unwrap_or("us-east-1"))
            .with_access_key_id(key)
            .with_secret_access_key(secret)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: RETRIES,
                retry_timeout: if self.hasty { HASTY } else { RETRY_FOR },
            });
        if !no_checksum {
            // The server compares what has arrived with this, and refuses it if it is something else.
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        if let Some(endpoint) = endpoint {
            let plain = endpoint.starts_with("http://");
            if !plain && !endpoint.starts_with("https://") {
                return Err(usage(format!("{endpoint} is no address of a server: it begins with https://")));
            }
            builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_allow_http(plain);
        }
        Ok(Arc::new(builder.build().map_err(|e| usage(in_words(&e)))?))
    }
}

/// An error in one line: the library's own go over several, and repeat themselves.
pub(super) fn in_words(error: &object_store::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let (whole, deepest) = (error.to_string(), deepest.to_string());
    // What a server says is XML; its code and message are what people can look up.
    let field = |name: &str| {
        let (_, rest) = whole.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.to_owned())
    };
    let said = match (field("Code"), field("Message")) {
        (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
        (Some(code), _) => code,
        _ => deepest,
    };
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::model::name::printable(&line.chars().take(300).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_buckets_or_directories() {
        let parse = |text: &str| text.parse::<Target>();
        for good in ["s3://photos", "s3://my.photos-1/a/b", "/mnt/usb", "copy"] {
            assert_eq!(parse(good).unwrap().to_string(), good);
        }
        assert_eq!(parse("s3://photos/a/").unwrap().to_string(), "s3://photos/a");
        assert_eq!(parse("s3://photos/a/b").unwrap().prefix().as_ref(), "a/b");
        assert!(parse("/mnt/usb").unwrap().directory().is_some());
        for bad in [
            "",
            "s3://",
            "s3://ab",
            "s3://Photos",
            "s3://pho tos",
            "gs://photos",
            "s3://photos//x",
            "s3://photos/../x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let s3 =
            S3Settings { secret: Some("s3cret".into()), key: Some("k3y".into()), ..S3Settings::default() };
        let target = "s3://photos".parse::<Target>().unwrap().with(s3);
        assert!(!format!("{target:?} {target}").contains("s3cret"));
        assert!(!format!("{target:?}").contains("k3y"));
    }

    #[test]
    fn without_a_key_nothing_is_asked() {
        let error = "s3://photos".parse::<Target>().unwrap().open(true).unwrap_err();
        assert!(error.to_string().contains("SHOEBOX_S3_KEY"), "{error}");
    }
}

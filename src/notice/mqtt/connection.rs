//! One connection to a broker. Every wait has an end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Broker;
use super::packet::{self, Greeting, Incoming};

/// Longest that the broker takes for anything.
pub const LIMIT: Duration = Duration::from_secs(10);
/// Longest silence of ours that the broker is told to bear, seconds.
const SILENCE: u16 = 30;

/// Why a connection is none, or none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words, without secrets.
    pub why: String,
    /// The broker is there and does not want us.
    pub refused: bool,
}

impl Failure {
    fn lost(why: impl Into<String>) -> Self {
        Self { why: why.into(), refused: false }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), refused: true }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // A broker that closes because of a limit or a rule of its own says nothing.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::lost("it closed the connection");
        }
        Self::lost(error.to_string())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How brokers are reached.
pub struct Line(Option<tokio_rustls::TlsConnector>);

impl Line {
    /// Whom to trust, if it is encrypted: the system's authorities, and those in the file `ca`.
    ///
    /// # Errors
    /// When there is nobody to trust.
    pub fn new(broker: &Broker, ca: Option<&Path>) -> Result<Self, String> {
        if !broker.encrypted {
            return Ok(Self(None));
        }
        let wrong = |why: String| format!("the broker cannot be reached with TLS: {why}");
        let mut roots = Vec::new();
        if let Some(path) = ca {
            let bad = |e: rustls::pki_types::pem::Error| wrong(format!("{}: {e}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(bad)? {
                roots.push(certificate.map_err(bad)?);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            .map_err(|e| wrong(e.to_string()))?;
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config).into())))
    }

    async fn reach(&self, broker: &Broker) -> Result<Box<dyn Stream>, Failure> {
        let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
        // Packets are small and each is waited for.
        stream.set_nodelay(true)?;
        let Some(tls) = &self.0 else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|_| Failure::refused("its host is no name that a certificate could have"))?;
        let stream = tls.connect(name, stream).await.map_err(|e| Failure::lost(format!("TLS: {e}")))?;
        Ok(Box::new(stream))
    }
}

/// A broker that has welcomed us.
pub struct Connection {
    stream: Box<dyn Stream>,
    come: BytesMut,
    last_id: u16,
    /// Messages that came while something else was waited for: none but ours are asked for, and the last one counts.
    message: Option<(String, Vec<u8>)>,
    /// When the broker must have said something.
    ping_by: Option<Instant>,
    /// When we must say something.
    pub quiet_until: Instant,
}

impl Connection {
    /// Connects by this name; the broker publishes the will, retained, when we are gone without a word.
    pub async fn open(
        broker: &Broker,
        line: &Line,
        client: &str,
        will: Option<(&str, &str)>,
    ) -> Result<Self, Failure> {
        let until = Instant::now() + LIMIT;
        let late = |_| Failure::lost("it did not answer in time");
        let stream = timeout_at(until, line.reach(broker)).await.map_err(late)??;
        let mut connection = Self {
            stream,
            come: BytesMut::new(),
            last_id: 0,
            message: None,
            ping_by: None,
            quiet_until: Instant::now(),
        };
        let login = broker.user.as_deref().map(|user| (user, broker.password.as_deref()));
        connection.send(&packet::connect(Greeting { client, login, will, silence: SILENCE })).await?;
        let answer = timeout_at(until, connection.next()).await.map_err(late)?;
        match answer? {
            Incoming::Welcome(0) => Ok(connection),
            Incoming::Welcome(code) => Err(Failure::refused(match code {
                1 => "it does not speak MQTT 3.1.1",
                2 => "it does not accept the name of the connection",
                3 => "it is not available now",
                4 => "it refuses user or password",
                5 if login.is_some() => "it refuses user or password, or this user may not connect",
                5 => "it wants a user and a password",
                _ => "it refuses the connection",
            })),
            _ => Err(Failure::refused("what it sends is not MQTT")),
        }
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let sent = async {
            self.stream.write_all(packet).await?;
            self.stream.flush().await
        };
        timeout(LIMIT, sent).await.map_err(|_| Failure::lost("it takes nothing any more"))??;
        self.quiet_until = Instant::now() + Duration::from_secs(SILENCE.into()) * 2 / 3;
        Ok(())
    }

    /// The next packet; nothing of one is lost where the wait is given up.
    async fn next(&mut self) -> Result<Incoming, Failure> {
        loop {
            if let Some(packet) = packet::take(&mut self.come).map_err(Failure::refused)? {
                self.ping_by = None;
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.come).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Waits for what answers a packet of ours.
    async fn answer(&mut self, id: u16) -> Result<Incoming, Failure> {
        let waited = async {
            loop {
                match self.next().await? {
                    Incoming::Message { topic, payload } => self.message = Some((topic, payload)),
                    Incoming::Pong => {}
                    Incoming::Acknowledged(other) if other == id => return Ok(Incoming::Acknowledged(id)),
                    Incoming::Subscribed { id: other, granted } if other == id => {
                        return Ok(Incoming::Subscribed { id, granted });
                    }
                    _ => return Err(Failure::refused("what it sends is not MQTT")),
                }
            }
        };
        timeout(LIMIT, waited).await.map_err(|_| Failure::lost("it did not answer in time"))?
    }

    fn new_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    /// Says something, and waits until the broker has it.
    pub async fn publish(&mut self, topic: &str, text: &str, retained: bool) -> Result<(), Failure> {
        let id = self.new_id();
        self.send(&packet::publish(id, topic, text, retained)).await?;
        self.answer(id).await.map(drop)
    }

    /// Asks for messages; answers whether the broker grants all of them.
    pub async fn subscribe(&mut self, topics: &[String]) -> Result<bool, Failure> {
        let id = self.new_id();
        self.send(&packet::subscribe(id, topics)).await?;
        Ok(self.answer(id).await? == Incoming::Subscribed { id, granted: true })
    }

    /// Asks whether the broker is there.
    pub async fn ping(&mut self) -> Result<(), Failure> {
        self.send(&packet::PING).await?;
        self.ping_by.get_or_insert(Instant::now() + LIMIT);
        Ok(())
    }

    /// The next message. Nothing is lost where the wait is given up.
    pub async fn message(&mut self) -> Result<(String, Vec<u8>), Failure> {
        loop {
            if let Some(message) = self.message.take() {
                return Ok(message);
            }
            let packet = match self.ping_by {
                Some(by) => timeout_at(by, self.next())
                    .await
                    .map_err(|_| Failure::lost("it does not answer any more"))?,
                None => self.next().await,
            };
            match packet? {
                Incoming::Message { topic, payload } => return Ok((topic, payload)),
                Incoming::Pong => {}
                _ => return Err(Failure::refused("what it sends is not MQTT")),
            }
        }
    }

    /// Ends it; the broker forgets the will.
    pub async fn leave(mut self) -> Result<(), Failure> {
        self.send(&packet::LEAVE).await?;
        timeout(LIMIT, self.stream.shutdown()).await.map_err(|_| Failure::lost("it does not let go"))??;
        Ok(())
    }
}

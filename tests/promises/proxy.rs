//! A stretch of bad line: passes connections on to the simulator, and spoils as many of them as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nobody listens, for a while.
    Refused,
    /// It is reset as soon as it is there.
    Reset,
    /// What is sent is swallowed, and nothing comes back.
    BlackHole,
    /// After so many bytes nothing comes any more, and the connection stays.
    HalfOpen(u64),
    /// 1 KiB a second.
    Slow,
    /// It breaks after so many bytes.
    Cut(u64),
}

/// How long nobody listens.
const DEAF: Duration = Duration::from_millis(700);

/// The line.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    turned: Arc<Notify>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    weather: Option<Weather>,
    /// Connections that are still to be spoilt.
    left: usize,
    connections: usize,
    spoilt: usize,
}

impl Proxy {
    /// A line to `target` in fine weather.
    pub async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let turned = Arc::new(Notify::new());
        let task = tokio::spawn(serve(listener, target, Arc::clone(&state), Arc::clone(&turned)));
        Self { address, state, turned, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, so many connections meet this. Those that there are break.
    pub fn turn(&self, weather: Weather, connections: usize) {
        let mut state = self.state.lock().unwrap();
        (state.weather, state.left, state.spoilt) = (Some(weather), connections, 0);
        self.turned.notify_one();
    }

    /// Fine again. The answer is how many connections were spoilt.
    pub fn clear(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        (state.weather, state.left) = (None, 0);
        state.spoilt
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut listener: TcpListener, target: SocketAddr, state: Arc<Mutex<State>>, turned: Arc<Notify>) {
    let address = listener.local_addr().unwrap();
    let mut lines = JoinSet::new();
    loop {
        while lines.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = turned.notified() => None,
            accepted = listener.accept() => Some(accepted),
        };
        let Some(accepted) = accepted else {
            lines.abort_all();
            if state.lock().unwrap().weather == Some(Weather::Refused) {
                drop(listener);
                tokio::time::sleep(DEAF).await;
                listener = TcpListener::bind(address).await.unwrap();
                state.lock().unwrap().weather = None;
            }
            continue;
        };
        let Ok((client, _)) = accepted else { continue };
        let weather = {
            let mut state = state.lock().unwrap();
            state.connections += 1;
            let spoilt = state.left > 0 && state.weather.is_some();
            state.left -= usize::from(spoilt);
            state.spoilt += usize::from(spoilt);
            state.weather.filter(|_| spoilt)
        };
        lines.spawn(async move {
            // A line that ends is all that becomes of an error.
            let _ended = carry(client, target, weather).await;
        });
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, weather: Option<Weather>) -> std::io::Result<()> {
    if weather == Some(Weather::Reset) {
        client.set_zero_linger()?;
        return Ok(());
    }
    if weather == Some(Weather::BlackHole) {
        let mut swallowed = [0; 4096];
        while client.read(&mut swallowed).await? > 0 {}
        return Ok(());
    }
    let server = TcpStream::connect(target).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move {
        let _ended = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ended = to_server.shutdown().await;
        from_client
    });
    let (mut buffer, mut sent) = (vec![0; 16 << 10], 0_u64);
    loop {
        let room = match weather {
            Some(Weather::Cut(most) | Weather::HalfOpen(most)) => (most - sent).min(16 << 10) as usize,
            Some(Weather::Slow) => 128,
            _ => 16 << 10,
        };
        if room == 0 {
            if matches!(weather, Some(Weather::HalfOpen(_))) {
                // Until the client has had enough.
                let _ended = up.await;
            } else {
                to_client.as_ref().set_zero_linger()?;
                up.abort();
            }
            return Ok(());
        }
        let n = from_server.read(&mut buffer[..room]).await?;
        if n == 0 {
            return to_client.shutdown().await;
        }
        to_client.write_all(&buffer[..n]).await?;
        sent += n as u64;
        if weather == Some(Weather::Slow) {
            tokio::time::sleep(Duration::from_millis(125)).await;
        }
    }
}

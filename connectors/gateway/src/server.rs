//! Connections: accepting, TLS, bounds against slow and too many clients, and a clean end.
//!
//! TLS is rustls, with its defaults: TLS 1.3 and 1.2, no weak ciphers. (Clients of Tapeline use the system's OpenSSL.)

use crate::config::{Settings, TlsFiles};
use crate::http::notes::PeerAddress;
use crate::metrics::GatewayMetrics;
use anyhow::{Context, Result, ensure};
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tower::ServiceExt as _;

/// How long open requests may take at the end.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// Pause after the system refused to accept: it is short of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/1.1 as ALPN lists it.
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    settings: Settings,
    metrics: GatewayMetrics,
}

impl Server {
    /// Binds the address and reads the certificate.
    ///
    /// # Errors
    /// If the address is taken, or the certificate or key can't be used.
    pub async fn bind(settings: Settings, metrics: GatewayMetrics) -> Result<Self> {
        let tls = settings.tls.as_ref().map(acceptor).transpose()?;
        let listener = TcpListener::bind(settings.listen).await;
        let listener =
            listener.with_context(|| format!("TAPELINE_GATEWAY={}: set it to a free address", settings.listen))?;
        Ok(Self { listener, tls, settings, metrics })
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `stop` is done; then accepts no more, and finishes what was asked.
    pub async fn serve(self, router: Router, stop: impl Future<Output = ()>) {
        let Self { listener, tls, settings, metrics } = self;
        let Settings { proxies, header_timeout, .. } = settings;
        let shared = Arc::new(Shared { router, tls, proxies: proxies.into(), header_timeout, metrics });
        let places = Arc::new(Semaphore::new(settings.max_connections));
        let (ending, is_ending) = watch::channel(false);
        let mut stop = std::pin::pin!(stop);
        loop {
            // Beyond the bound, connections wait in the system's own queue.
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! { next = next => next, () = &mut stop => break };
            match (place, accepted) {
                (Ok(place), Ok((stream, peer))) => {
                    tokio::spawn(Arc::clone(&shared).connection(stream, peer, is_ending.clone(), place));
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            }
        }
        drop(listener);
        // Nobody listens if there is no connection.
        let _ = ending.send(true);
        let all = u32::try_from(settings.max_connections).unwrap_or(u32::MAX);
        if tokio::time::timeout(END_PATIENCE, places.acquire_many(all)).await.is_err() {
            tracing::warn!("connections were cut that had not ended after {END_PATIENCE:?}");
        }
    }
}

struct Shared {
    router: Router,
    tls: Option<TlsAcceptor>,
    proxies: Arc<[IpAddr]>,
    header_timeout: Duration,
    metrics: GatewayMetrics,
}

impl Shared {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        is_ending: watch::Receiver<bool>,
        _place: OwnedSemaphorePermit,
    ) {
        self.metrics.connections.inc();
        let served = async {
            stream.set_nodelay(true)?;
            match &self.tls {
                None => self.http(stream, peer, is_ending).await,
                Some(acceptor) => {
                    let stream = tokio::time::timeout(self.header_timeout, acceptor.accept(stream)).await??;
                    self.http(stream, peer, is_ending).await
                }
            }
        };
        if let Err(error) = served.await {
            tracing::debug!(%peer, "a connection ended: {error:#}");
        }
        self.metrics.connections.dec();
    }

    async fn http<S>(&self, stream: S, peer: SocketAddr, mut is_ending: watch::Receiver<bool>) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (router, proxies) = (self.router.clone(), Arc::clone(&self.proxies));
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            let address = PeerAddress::of(peer.ip(), request.headers(), &proxies);
            request.extensions_mut().insert(address);
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = &mut connection => return ended.context("HTTP"),
            _ = is_ending.wait_for(|is_ending| *is_ending) => {}
        }
        // Finishes the request at hand and takes no further one.
        connection.as_mut().graceful_shutdown();
        connection.await.context("HTTP")
    }
}

/// Certificate and key.
fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor> {
    let no_certificate =
        || format!("TAPELINE_GATEWAY_TLS_CERT={}: no certificates in PEM", files.certificate.display());
    let certificates = CertificateDer::pem_file_iter(&files.certificate).with_context(no_certificate)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().with_context(no_certificate)?;
    ensure!(!certificates.is_empty(), no_certificate());
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("TAPELINE_GATEWAY_TLS_KEY={}: no private key in PEM", files.key.display()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .with_context(|| format!("TAPELINE_GATEWAY_TLS_KEY={}: not the certificate's key", files.key.display()))?;
    config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

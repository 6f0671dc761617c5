//! An HTTP server on loopback, on a thread of its own.

use std::{net::TcpListener, rc::Rc, thread::JoinHandle};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};
use tokio_rustls::TlsAcceptor;

/// What the server answers.
pub(crate) type Answered = Response<Full<Bytes>>;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(crate) struct Closed;

/// A request that was read to its end.
pub(crate) type Whole = Request<Bytes>;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Loopback {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Answers with what `answer` says, many requests at once; over TLS where it is given.
    pub(crate) fn serve<A>(tls: Option<TlsAcceptor>, answer: A) -> Result<Self>
    where
        A: AsyncFn(Whole) -> Result<Answered, Closed> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, async move {
                tokio::select! {
                    () = accept(listener, tls, answer) => (),
                    _ = stopped => (),
                }
            });
        });
        Ok(Self {
            port,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Such as `127.0.0.1:40001`.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept<A>(listener: TcpListener, tls: Option<TlsAcceptor>, answer: A)
where
    A: AsyncFn(Whole) -> Result<Answered, Closed> + 'static,
{
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let answer = Rc::new(answer);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Without Nagle's delay: each answer is one small write.
        let _ = stream.set_nodelay(true);
        let (answer, tls) = (Rc::clone(&answer), tls.clone());
        tokio::task::spawn_local(async move {
            match tls {
                None => converse(stream, answer).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, answer).await;
                    }
                }
            }
        });
    }
}

async fn converse<A>(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Rc<A>)
where
    A: AsyncFn(Whole) -> Result<Answered, Closed> + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = Rc::clone(&answer);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
            answer(Request::from_parts(head, body)).await
        }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

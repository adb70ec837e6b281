//! The line protocol on tokio-util: `Framed` with `LinesCodec`, a task for each connection. Answers are fed while requests are at
//! hand, and flushed when they run out.
mod leash;

use futures::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

async fn handle(line: String) -> String {
    line
}

async fn serve(socket: TcpStream) -> Result<(), LinesCodecError> {
    socket.set_nodelay(true)?;
    let mut lines = Framed::new(socket, LinesCodec::new());
    match lines.next().await {
        Some(Ok(line)) if line == "You ready?" => lines.feed("Bring it!".to_owned()).await?,
        Some(Ok(_)) => return lines.send("No! Go away!".to_owned()).await,
        Some(Err(error)) => return Err(error),
        None => return Ok(()),
    }
    loop {
        let next = match lines.next().now_or_never() {
            Some(next) => next,
            None => {
                SinkExt::<String>::flush(&mut lines).await?;
                lines.next().await
            }
        };
        match next {
            Some(line) => {
                let answer = handle(line?).await;
                lines.feed(answer).await?
            }
            None => return SinkExt::<String>::flush(&mut lines).await,
        }
    }
}

fn main() -> std::io::Result<()> {
    leash::leash();
    let port: u16 = std::env::args().nth(1).and_then(|p| p.parse().ok()).unwrap_or(7000);
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        println!("listening {}", listener.local_addr()?.port());
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    tokio::spawn(serve(socket));
                }
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
}

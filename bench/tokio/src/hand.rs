//! The line protocol on tokio alone: reads of up to 64 KiB into a vector, one write for each read. `Framed` of tokio-util 0.7.3
//! flushes every 8 KiB and cannot be told otherwise.
mod leash;

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn handle(line: String) -> String {
    line
}

async fn serve(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(4096);
    let mut out: Vec<u8> = Vec::new();
    let mut scanned = 0; // no '\n' before this
    let mut full = false; // the last read filled the buffer: more is waiting
    let mut ready = false;
    loop {
        if full || buffer.capacity() - buffer.len() < 2048 {
            buffer.reserve(buffer.capacity().max(4096)); // at least doubles
        }
        if socket.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        full = buffer.len() == buffer.capacity() && buffer.capacity() < 65536;
        let mut start = 0;
        while let Some(at) = memchr::memchr(b'\n', &buffer[scanned..]) {
            let end = scanned + at;
            let line = std::str::from_utf8(&buffer[start..end])
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?
                .to_owned();
            scanned = end + 1;
            start = scanned;
            if ready {
                out.extend_from_slice(handle(line).await.as_bytes());
                out.push(b'\n');
            } else if line == "You ready?" {
                ready = true;
                out.extend_from_slice(b"Bring it!\n");
            } else {
                return socket.write_all(b"No! Go away!\n").await;
            }
        }
        buffer.drain(..start);
        scanned = buffer.len();
        if buffer.is_empty() && buffer.capacity() > 65536 {
            buffer = Vec::with_capacity(4096);
        }
        if !out.is_empty() {
            socket.write_all(&out).await?;
            out.clear();
            if out.capacity() > 65536 {
                out = Vec::new();
            }
        }
    }
}

fn main() -> io::Result<()> {
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

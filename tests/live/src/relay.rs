//! A program between a client and the wire that records what it forwards.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use live_harness::Result;
use netns::Namespace;

/// Forwards one connection from the loopback interface of a host to a server elsewhere.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    thread: JoinHandle<io::Result<(Vec<u8>, Vec<u8>)>>,
}

impl Relay {
    /// Waits for a client on `host` and then connects to `server`.
    ///
    /// # Errors
    ///
    /// If it cannot listen.
    pub fn start(host: &Namespace, server: SocketAddr) -> Result<Self> {
        let listener = host.run(|| TcpListener::bind("127.0.0.1:0"))??;
        let address = listener.local_addr()?;
        let guard = host.enter()?;
        let thread = thread::spawn(move || {
            let near = listener.accept()?.0;
            let far = TcpStream::connect(server)?;
            let (from, to) = (near.try_clone()?, far.try_clone()?);
            let requests = thread::spawn(move || pass(from, to));
            let answers = pass(far, near)?;
            let requests =
                requests.join().map_err(|_| io::Error::other("the relay panicked"))??;
            Ok((requests, answers))
        });
        drop(guard);
        Ok(Self { address, thread })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes sent by the client and by the server, once both have ended.
    ///
    /// # Errors
    ///
    /// If the connection failed.
    pub fn finish(self) -> Result<(Vec<u8>, Vec<u8>)> {
        Ok(self.thread.join().map_err(|_| "the relay panicked")??)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) -> io::Result<Vec<u8>> {
    let (mut passed, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            length => {
                to.write_all(&buffer[..length])?;
                passed.extend_from_slice(&buffer[..length]);
            }
        }
    }
    // The other side may have closed already.
    let _ = to.shutdown(Shutdown::Write);
    Ok(passed)
}

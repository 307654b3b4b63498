//! Two hosts, and the path between them.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use live_harness::Result;
use netns::{Link, Namespace, Offload};

use crate::{Forwarder, PATIENCE, Roughness};

/// The server's link, on its host.
pub const SERVER: &str = "server0";
/// The client's link, on its host.
pub const CLIENT: &str = "client0";

/// A server's host and a client's, with a wire or a lossy path between them.
#[derive(Debug)]
pub struct Wire {
    /// Dropped first, because its thread works in the namespace between the hosts.
    forwarder: Option<Forwarder>,
    /// The server's host: 10.7.0.1 and fd07::1, on the link [`SERVER`].
    pub server: Namespace,
    /// The client's host: 10.7.0.2 and fd07::2, on the link [`CLIENT`].
    pub client: Namespace,
}

impl Wire {
    /// Creates a veth pair with the kernel's defaults: segments of up to 64 KiB, checksums left
    /// unfinished.
    ///
    /// # Errors
    ///
    /// If the hosts cannot be created.
    pub fn new() -> Result<Self> {
        Self::direct(true)
    }

    /// Creates a veth pair that carries frames as a cable would: at most 1,500 bytes, with complete
    /// checksums.
    ///
    /// # Errors
    ///
    /// If the hosts cannot be created.
    pub fn with_plain_frames() -> Result<Self> {
        Self::direct(false)
    }

    /// Creates a path with a host in the middle that loses, duplicates and reorders TCP segments.
    ///
    /// # Errors
    ///
    /// If the hosts cannot be created.
    pub fn rough(roughness: Roughness) -> Result<Self> {
        let middle = Namespace::new()?;
        let mut wire = Self::through(&middle)?;
        wire.forwarder = Some(Forwarder::start(middle, ["left", "right"], roughness)?);
        Ok(wire)
    }

    /// Creates a path with a host in the middle that forwards nothing on its own. Frames as on a
    /// cable end at its links `left`, to the server, and `right`, to the client.
    ///
    /// # Errors
    ///
    /// If the hosts cannot be created.
    pub fn through(middle: &Namespace) -> Result<Self> {
        let (server, client) = (Namespace::new()?, Namespace::new()?);
        let ends =
            (server.veth_to(middle, SERVER, "left")?, client.veth_to(middle, CLIENT, "right")?);
        for link in [&ends.0.1, &ends.1.1] {
            link.up()?;
        }
        plug(&ends.0.0, &ends.1.0, false)?;
        drop(ends);
        Ok(Self { forwarder: None, server, client })
    }

    /// The forwarder in the middle, if there is one.
    pub fn forwarder(&self) -> Option<&Forwarder> {
        self.forwarder.as_ref()
    }

    /// Waits until a program on the server's host accepts connections at `port`. The attempts go
    /// over loopback, so they do not appear on the wire.
    ///
    /// # Errors
    ///
    /// If nothing accepts connections in time.
    pub fn wait_for_server(&self, port: u16) -> Result {
        let started = Instant::now();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        loop {
            let trial = self.server.run(|| TcpStream::connect_timeout(&address, PATIENCE))?;
            match trial {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > PATIENCE => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("no server at port {port}: {error}"),
                    )
                    .into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn direct(offloads: bool) -> Result<Self> {
        let (server, client) = (Namespace::new()?, Namespace::new()?);
        let (left, right) = server.veth_to(&client, SERVER, CLIENT)?;
        plug(&left, &right, offloads)?;
        Ok(Self { forwarder: None, server, client })
    }
}

/// Assigns addresses to the two ends and sets them up.
fn plug(server: &Link<'_>, client: &Link<'_>, offloads: bool) -> Result {
    for (link, host) in [(server, 1), (client, 2)] {
        if !offloads {
            for offload in [Offload::Segmentation, Offload::Coalescing, Offload::TransmitChecksum] {
                link.set_offload(offload, false)?;
            }
        }
        link.add_address(format!("10.7.0.{host}/24").parse()?)?;
        link.add_address(format!("fd07::{host}/64").parse()?)?;
        link.up()?;
    }
    server.wait_until_running(PATIENCE)?;
    client.wait_until_running(PATIENCE)?;
    Ok(())
}

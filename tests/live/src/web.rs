//! nginx in the foreground, as one process, within one folder.

use std::{fs, path::Path, process};

use live_harness::{Result, program};
use netns::Process;

use crate::{Folder, Random, Wire};

/// A web server at port 80 of a wire's server, for both IP versions.
///
/// Content below `/chunked` is sent in chunks, because it passes through server-side includes. PUT
/// works below `/up`.
#[derive(Debug)]
pub struct Web {
    process: Process,
    folder: Folder,
}

impl Web {
    /// Starts the server.
    ///
    /// # Errors
    ///
    /// [`Missing`](live_harness::Missing) if nginx is not installed.
    pub fn start(wire: &Wire) -> Result<Self> {
        Self::start_with(wire, "")
    }

    /// Starts the server, which speaks TLS at port 443 as well.
    ///
    /// # Errors
    ///
    /// [`Missing`](live_harness::Missing) if nginx or openssl is not installed.
    pub fn start_with_tls(wire: &Wire) -> Result<Self> {
        Self::start_with(wire, TLS)
    }

    fn start_with(wire: &Wire, tls: &str) -> Result<Self> {
        let nginx = program("nginx", "nginx")?;
        let folder = Folder::new()?;
        fs::create_dir_all(folder.join("root/chunked"))?;
        fs::create_dir_all(folder.join("root/up"))?;
        fs::write(folder.join("nginx.conf"), CONFIGURATION.replace("TLS", tls))?;
        if !tls.is_empty() {
            certificate(&folder)?;
        }
        let mut command = process::Command::new(nginx);
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = wire.server.spawn(&mut command)?;
        let web = Self { process, folder };
        wire.wait_for_server(80)?;
        Ok(web)
    }

    /// Its process identifier, to check that it is alive.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Offers `length` random bytes at `/name`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn offer(&self, name: &str, seed: u64, length: usize) -> Result {
        Random::new(seed).fill(&self.path(name), length)?;
        Ok(())
    }

    /// Offers a text of `length` bytes at `/name`, without anything that server-side includes would
    /// interpret.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn offer_text(&self, name: &str, seed: u64, length: usize) -> Result {
        let mut text = Random::new(seed).bytes(length);
        text.iter_mut()
            .for_each(|byte| *byte = b"abcdefghijklmnop qrstuvwxyz.\n,--"[usize::from(*byte % 32)]);
        fs::write(self.path(name), text)?;
        Ok(())
    }

    /// The path of the file that was uploaded as `/name`.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.join(Path::new("root").join(name))
    }
}

/// Makes a key and a certificate. Signatures with P-256 are cheap enough for hundreds of
/// handshakes.
fn certificate(folder: &Folder) -> Result {
    let made = process::Command::new(program("openssl", "openssl")?)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-subj", "/CN=live", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()?;
    let errors = String::from_utf8_lossy(&made.stderr);
    if made.status.success() { Ok(()) } else { Err(errors.into()) }
}

const TLS: &str =
    "listen 443 ssl backlog=4096; ssl_certificate certificate.pem; ssl_certificate_key key.pem;";

const CONFIGURATION: &str = "
user root;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
    access_log off;
    default_type application/octet-stream;
    client_max_body_size 1g;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 80 backlog=4096;
        listen [::]:80 backlog=4096;
        TLS
        root root;
        location /chunked/ { ssi on; ssi_types *; }
        location /up/ { dav_methods PUT; }
    }
}
";

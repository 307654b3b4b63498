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
        let nginx = program("nginx", "nginx")?;
        let folder = Folder::new()?;
        fs::create_dir_all(folder.join("root/chunked"))?;
        fs::create_dir_all(folder.join("root/up"))?;
        fs::write(folder.join("nginx.conf"), CONFIGURATION)?;
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

const CONFIGURATION: &str = "
user root;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
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
        listen 80 backlog=1024;
        listen [::]:80 backlog=1024;
        root root;
        location /chunked/ { ssi on; ssi_types *; }
        location /up/ { dav_methods PUT; }
    }
}
";

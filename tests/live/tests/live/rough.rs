//! A path that loses, duplicates and reorders.

use std::fs::File;

use live::{CLIENT, Ear, Folder, Follower, Roughness, SERVER, Toll, Web, Wire};
use live_harness::Result;

use crate::http::{Curl, upload};

const ROUGH: Roughness = Roughness { lost: 20, doubled: 10, overtaken: 50, seed: 1 };

pub(crate) fn http_over_a_rough_path() -> Result {
    fetch("10.7.0.1", ROUGH)
}

pub(crate) fn http_over_a_rough_path_over_ipv6() -> Result {
    fetch("[fd07::1]", Roughness { seed: 2, ..ROUGH })
}

/// Checks that a listener before the losses captures retransmissions of known bytes, and one after
/// them captures holes that are filled later.
fn fetch(host: &str, roughness: Roughness) -> Result {
    let wire = Wire::rough(roughness)?;
    let web = Web::start(&wire)?;
    web.offer("a", 10, 5_000_000)?;
    web.offer("b", 11, 1_000_000)?;
    let follower = Follower::start(&wire.server, SERVER)?;
    let ear = Ear::open(&wire.client, CLIENT)?;
    let folder = Folder::new()?;
    let fetched =
        Curl::start(&wire.client, host, &["a", "b", "a"], folder.join("got"))?.finish()?;
    was_rough(&wire)?;
    fetched.is_all_that(&follower.finish(2)?)?;
    let heard = ear.finish(1)?;
    fetched.is_all_that(&heard)
}

pub(crate) fn uploads_over_a_rough_path() -> Result {
    let wire = Wire::rough(Roughness { seed: 3, ..ROUGH })?;
    let web = Web::start(&wire)?;
    let follower = Follower::start(&wire.server, SERVER)?;
    let ear = Ear::open(&wire.client, CLIENT)?;
    let sent = upload(&wire, &web, 12, 5_000_000)?;
    was_rough(&wire)?;
    for heard in [follower.finish(2)?.whole()?, ear.finish(1)?.whole()?] {
        heard.to(80)?.is_all_of(File::open(&sent)?)?;
    }
    Ok(())
}

fn was_rough(wire: &Wire) -> Result {
    let toll = wire.forwarder().ok_or("no forwarder")?.toll();
    println!("{toll:?}");
    let Toll { passed, lost, doubled, overtaken } = toll;
    assert!(passed > 1000 && lost > 10 && doubled > 5 && overtaken > 20, "{toll:?}");
    Ok(())
}

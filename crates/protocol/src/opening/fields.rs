//! The fields of openings.

use super::Opening;
use crate::field::FieldOf;
use crate::registry::Protocol;
use crate::value::Kind;

type Fields = &'static [FieldOf<Opening>];

/// The fields of each protocol.
pub(crate) const TABLES: [(Protocol, Fields); 7] = [
    (Protocol::SMTP, SMTP),
    (Protocol::FTP, FTP),
    (Protocol::POP3, POP3),
    (Protocol::IMAP, IMAP),
    (Protocol::SSH, SSH),
    (Protocol::POSTGRESQL, POSTGRESQL),
    (Protocol::MYSQL, MYSQL),
];

macro_rules! text {
    ($name:literal, $member:ident, $about:literal) => {
        FieldOf::new($name, Kind::Text, $about, |opening: &Opening, _, each| {
            if let Some(text) = &opening.$member {
                each(text.as_str().into());
            }
        })
    };
}

macro_rules! starttls {
    ($name:literal) => {
        FieldOf::new(
            $name,
            Kind::Bool,
            "True if the connection goes on as TLS.",
            |opening: &Opening, _, each| each(opening.starttls.into()),
        )
    };
}

const SMTP: Fields = &[
    text!("smtp.banner", banner, "The first line of the server, without its code."),
    text!("smtp.helo", client, "The name by which the client introduces itself."),
    text!(
        "smtp.command",
        command,
        "The first command after the introduction; of AUTH the mechanism alone."
    ),
    starttls!("smtp.starttls"),
];

const FTP: Fields = &[
    text!("ftp.banner", banner, "The first line of the server, without its code."),
    text!("ftp.user", user, "The user."),
    text!("ftp.command", command, "The first command that is not about the login."),
    starttls!("ftp.starttls"),
];

const POP3: Fields = &[
    text!("pop3.banner", banner, "The first line of the server."),
    text!("pop3.user", user, "The user."),
    text!(
        "pop3.command",
        command,
        "The first command that is not about the login; of AUTH the mechanism alone."
    ),
    starttls!("pop3.starttls"),
];

const IMAP: Fields = &[
    text!("imap.banner", banner, "The first line of the server."),
    text!("imap.user", user, "The user of LOGIN."),
    text!(
        "imap.command",
        command,
        "The first command; of LOGIN and AUTHENTICATE without what proves the identity."
    ),
    starttls!("imap.starttls"),
];

const SSH: Fields = &[
    text!("ssh.client", client, "The identification of the client."),
    text!("ssh.server", banner, "The identification of the server."),
];

const POSTGRESQL: Fields = &[
    text!("postgresql.version", version, "The version of the protocol that the client requests."),
    text!("postgresql.user", user, "The user."),
    text!("postgresql.database", database, "The database."),
    text!("postgresql.application", client, "The name of the client's program."),
    text!("postgresql.query", command, "The text of the first query or prepared statement."),
    starttls!("postgresql.starttls"),
];

const MYSQL: Fields = &[
    text!("mysql.version", version, "The version of the server."),
    text!("mysql.user", user, "The user."),
    text!("mysql.database", database, "The database."),
    text!("mysql.query", command, "The text of the first query, or the name of another command."),
    starttls!("mysql.starttls"),
];

//! Parses the keywords for fields of 802.11 frames and of packet filter logs.

use super::{Parser, qualifiers};
use crate::error::{ParseError, ParseErrorKind};
use crate::expression::{Primitive, log, wireless};
use crate::lexer::{self, TokenKind};

impl Parser<'_> {
    /// Parses a test of the type or direction of an 802.11 frame. `None` if the next token is not
    /// one of its keywords.
    pub(super) fn wireless(&mut self) -> Result<Option<Primitive>, ParseError> {
        if self.accept("type") {
            const WHAT: &str = "an 802.11 type: `mgt`, `ctl`, `data` or a number";
            let kind = self.bits(WHAT, wireless::TYPES, wireless::TYPE_MASK)?;
            let subtype = if self.accept("subtype") {
                const WHAT: &str = "a subtype of that 802.11 type, such as `beacon`, or a number";
                Some(self.bits(WHAT, wireless::subtypes(kind), wireless::SUBTYPE_MASK)?)
            } else {
                None
            };
            return Ok(Some(Primitive::WirelessType { kind, subtype }));
        }
        if self.accept("subtype") {
            const WHAT: &str = "the name of an 802.11 subtype, such as `beacon`";
            let name = self.name(WHAT)?;
            // `data` is a type as well, so the types are distinguished by number.
            let mut kinds = [0x00, 0x04, 0x08].into_iter();
            let found = kinds.find_map(|kind| Some((kind, value(wireless::subtypes(kind), name)?)));
            let (kind, subtype) = found.ok_or_else(|| self.unexpected(WHAT))?;
            self.at += 1;
            return Ok(Some(Primitive::WirelessType { kind, subtype: Some(subtype) }));
        }
        if self.accept("dir") || self.accept("direction") {
            const WHAT: &str = "`nods`, `tods`, `fromds`, `dstods` or a number up to 3";
            let bits = self.bits(WHAT, wireless::DIRECTIONS, 3)?;
            return Ok(Some(Primitive::WirelessDirection(bits)));
        }
        Ok(None)
    }

    /// Parses a test of the header of a packet filter log. `None` if the next token is not one of
    /// its keywords.
    pub(super) fn log(&mut self) -> Result<Option<Primitive>, ParseError> {
        Ok(Some(if self.accept("on") || self.accept("ifname") {
            Primitive::LogInterface(self.log_name("the name of an interface")?)
        } else if self.accept("rset") || self.accept("ruleset") {
            Primitive::LogRuleset(self.log_name("the name of a ruleset")?)
        } else if self.accept("rnr") || self.accept("rulenum") {
            Primitive::LogRule(self.number("the number of a rule")?.0)
        } else if self.accept("srnr") || self.accept("subrulenum") {
            Primitive::LogSubrule(self.number("the number of a rule")?.0)
        } else if self.accept("reason") {
            const WHAT: &str = "a reason, such as `match`, or a number";
            if let Some(TokenKind::Number(_)) = self.peek().map(|token| token.kind) {
                Primitive::LogReason(self.number(WHAT)?.0)
            } else {
                Primitive::LogReason(self.bits(WHAT, log::REASONS, 0)?.into())
            }
        } else if self.accept("action") {
            const WHAT: &str = "an action, such as `pass` or `block`";
            let name = self.name(WHAT)?;
            let action = value(log::ACTIONS, name).ok_or_else(|| self.unexpected(WHAT))?;
            self.at += 1;
            Primitive::LogAction(action)
        } else {
            return Ok(None);
        }))
    }

    /// Parses a value by name or, if it has no bits outside the mask, by number.
    fn bits(
        &mut self,
        what: &'static str,
        names: &[(&str, u8)],
        mask: u8,
    ) -> Result<u8, ParseError> {
        let found = match self.peek().map(|token| token.kind) {
            Some(TokenKind::Number(number)) => {
                u8::try_from(number).ok().filter(|bits| bits & !mask == 0)
            }
            _ => value(names, self.name(what)?),
        };
        let found = found.ok_or_else(|| self.unexpected(what))?;
        self.at += 1;
        Ok(found)
    }

    /// The next token, if it is a name.
    fn name(&self, what: &'static str) -> Result<&str, ParseError> {
        match self.peek().map(|token| token.kind) {
            Some(TokenKind::Word(word) | TokenKind::Escaped(word)) => Ok(word),
            _ => Err(self.unexpected(what)),
        }
    }

    /// Parses the content of one of the header's fields for names.
    fn log_name(&mut self, what: &'static str) -> Result<Box<str>, ParseError> {
        let Some(token) = self.peek() else { return Err(self.unexpected(what)) };
        let name = match token.kind {
            TokenKind::Word(word) if !qualifiers::is_keyword(word) => word,
            TokenKind::Escaped(word) => word,
            _ => return Err(self.unexpected(what)),
        };
        if name.len() >= log::NAME_LEN {
            let kind = ParseErrorKind::NameTooLong { what, limit: log::NAME_LEN - 1 };
            return Err(lexer::error(self.text, token.start, kind));
        }
        self.at += 1;
        Ok(name.into())
    }
}

/// The value of a name, in letters of any case.
fn value(names: &[(&str, u8)], name: &str) -> Option<u8> {
    names.iter().find(|known| known.0.eq_ignore_ascii_case(name)).map(|known| known.1)
}

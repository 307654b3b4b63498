//! Parses numbers that are computed from the packet.
//!
//! In libpcap's grammar `%` and `^` have no precedence of their own: they take the operand right
//! before them and everything after them. This parser does the same, so that a text means the same
//! in both.

use super::Parser;
use super::qualifiers::Scope;
use crate::error::{ParseError, ParseErrorKind};
use crate::expression::{Arithmetic, BinaryOperator, Comparison, Header, Protocol, Width};
use crate::lexer::TokenKind;
use crate::names;

const UNARY_MINUS: u8 = 6;

/// The header that can only be indexed.
const RADIO: &str = "radio";

impl Parser<'_> {
    /// Returns `true` if the next tokens can only begin a number.
    pub(super) fn starts_arithmetic(&self) -> bool {
        let Some(token) = self.peek() else { return false };
        match token.kind {
            TokenKind::Number(_) | TokenKind::Symbol("-") => true,
            TokenKind::Word(word) => {
                matches!(word, "len" | "length")
                    || names::constant(word).is_some()
                    || self.peek_second().is_some_and(|next| next.is("["))
                        && (word == RADIO || Scope::from_word(word).is_some())
            }
            _ => false,
        }
    }

    /// Parses a number with operators of at least this precedence.
    pub(super) fn arithmetic(&mut self, binding: u8) -> Result<Arithmetic, ParseError> {
        let depth = self.enter()?;
        let left = self.operand()?;
        let number = self.arithmetic_from(left, binding)?;
        self.depth = depth;
        Ok(number)
    }

    /// Parses the rest of a number, given its first operand.
    pub(super) fn arithmetic_from(
        &mut self,
        mut left: Arithmetic,
        binding: u8,
    ) -> Result<Arithmetic, ParseError> {
        let depth = self.depth;
        while let Some((operator, left_binding, right_binding)) = self.operator()
            && left_binding >= binding
        {
            self.enter()?;
            self.at += 1;
            let right = self.arithmetic(right_binding)?;
            left = left.binary(operator, right);
        }
        self.depth = depth;
        Ok(left)
    }

    pub(super) fn comparison(&mut self) -> Option<Comparison> {
        let TokenKind::Symbol(symbol) = self.peek()?.kind else { return None };
        let comparison = match symbol {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.at += 1;
        Some(comparison)
    }

    fn operator(&self) -> Option<(BinaryOperator, u8, u8)> {
        let TokenKind::Symbol(symbol) = self.peek()?.kind else { return None };
        Some(match symbol {
            "|" => (BinaryOperator::Or, 1, 2),
            "&" => (BinaryOperator::And, 2, 3),
            "<<" => (BinaryOperator::ShiftLeft, 3, 4),
            ">>" => (BinaryOperator::ShiftRight, 3, 4),
            "+" => (BinaryOperator::Add, 4, 5),
            "-" => (BinaryOperator::Subtract, 4, 5),
            "*" => (BinaryOperator::Multiply, 5, UNARY_MINUS),
            "/" => (BinaryOperator::Divide, 5, UNARY_MINUS),
            "%" => (BinaryOperator::Modulo, u8::MAX, 0),
            "^" => (BinaryOperator::Xor, u8::MAX, 0),
            _ => return None,
        })
    }

    fn operand(&mut self) -> Result<Arithmetic, ParseError> {
        if self.accept("-") {
            return Ok(Arithmetic::Negate(Box::new(self.arithmetic(UNARY_MINUS)?)));
        }
        if self.accept("(") {
            let number = self.arithmetic(0)?;
            self.expect(")")?;
            return Ok(number);
        }
        let Some(token) = self.peek() else { return Err(self.unexpected("a number")) };
        let number = match token.kind {
            TokenKind::Number(number) => Arithmetic::Number(number),
            TokenKind::Word("len" | "length") => Arithmetic::Length,
            TokenKind::Word(RADIO) if self.peek_second().is_some_and(|next| next.is("[")) => {
                return self.load(Header::Radio);
            }
            TokenKind::Word(word) => match (names::constant(word), Scope::from_word(word)) {
                (Some(number), _) => Arithmetic::Number(number),
                (None, Some(scope)) if self.peek_second().is_some_and(|next| next.is("[")) => {
                    return self.header(scope).and_then(|header| self.load(header));
                }
                _ => return Err(self.unexpected("a number")),
            },
            _ => return Err(self.unexpected("a number")),
        };
        self.at += 1;
        Ok(number)
    }

    fn header(&self, scope: Scope) -> Result<Header, ParseError> {
        header(scope).ok_or_else(|| {
            let protocol = match scope {
                Scope::Protocol(protocol) => protocol.keyword(),
                Scope::Any | Scope::Link => "ether",
            };
            self.fail(ParseErrorKind::Index { protocol })
        })
    }

    /// Parses `header [ offset : width ]`, of which the header is known.
    fn load(&mut self, header: Header) -> Result<Arithmetic, ParseError> {
        self.at += 1;
        self.expect("[")?;
        let offset = Box::new(self.arithmetic(0)?);
        let width = if self.accept(":") { self.width()? } else { Width::One };
        self.expect("]")?;
        Ok(Arithmetic::Load { header, offset, width })
    }

    fn width(&mut self) -> Result<Width, ParseError> {
        let Some(token) = self.peek() else { return Err(self.unexpected("1, 2 or 4")) };
        let width = match token.kind {
            TokenKind::Number(1) => Width::One,
            TokenKind::Number(2) => Width::Two,
            TokenKind::Number(4) => Width::Four,
            TokenKind::Number(_) => return Err(self.fail(ParseErrorKind::Width)),
            _ => return Err(self.unexpected("1, 2 or 4")),
        };
        self.at += 1;
        Ok(width)
    }
}

fn header(scope: Scope) -> Option<Header> {
    Some(match scope {
        Scope::Any => return None,
        Scope::Link => Header::Link,
        Scope::Protocol(protocol) => match protocol {
            Protocol::Ip => Header::Ip,
            Protocol::Ip6 => Header::Ip6,
            Protocol::Arp => Header::Arp,
            Protocol::Rarp => Header::Rarp,
            Protocol::Tcp => Header::Tcp,
            Protocol::Udp => Header::Udp,
            Protocol::Sctp => Header::Sctp,
            Protocol::Icmp => Header::Icmp,
            Protocol::Icmp6 => Header::Icmp6,
            Protocol::Igmp => Header::Igmp,
            Protocol::Igrp => Header::Igrp,
            Protocol::Pim => Header::Pim,
            Protocol::Vrrp => Header::Vrrp,
            Protocol::Carp => Header::Carp,
            Protocol::Atalk => Header::Atalk,
            Protocol::Decnet => Header::Decnet,
            Protocol::Lat => Header::Lat,
            Protocol::Sca => Header::Sca,
            Protocol::Moprc => Header::Moprc,
            Protocol::Mopdl => Header::Mopdl,
            _ => return None,
        },
    })
}

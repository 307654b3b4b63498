//! Parses keywords that begin a condition, and the names that follow qualifiers.

use std::net::{IpAddr, Ipv4Addr};

use super::qualifiers::{self, End, Kind, Qualifiers, Scope};
use super::{Inherited, Item, Parser};
use crate::error::{ParseError, ParseErrorKind};
use crate::expression::{
    Direction, Expression, LlcType, MulticastLayer, Primitive, Protocol, WirelessAddress,
};
use crate::lexer::{self, Token, TokenKind};
use crate::network::Network;

impl Parser<'_> {
    /// Parses a condition that begins with a keyword. `None` if the next token is not a keyword.
    pub(super) fn keyword(&mut self) -> Result<Option<(Expression, Inherited)>, ParseError> {
        let Some(Token { kind: TokenKind::Word(word), .. }) = self.peek() else { return Ok(None) };
        let scope = Scope::from_word(word);
        if scope.is_some()
            || matches!(*word, "src" | "dst" | "broadcast" | "multicast")
            || Kind::from_word(word).is_some()
            || WirelessAddress::from_word(word).is_some()
        {
            if scope.is_some() {
                self.at += 1;
            }
            return self.qualified(scope.unwrap_or(Scope::Any)).map(Some);
        }
        let primitive = match *word {
            "less" | "greater" => {
                self.at += 1;
                let (length, _) = self.number("a length")?;
                if *word == "less" { Primitive::Less(length) } else { Primitive::Greater(length) }
            }
            "ifindex" => {
                self.at += 1;
                Primitive::InterfaceIndex(self.number("an interface index")?.0)
            }
            "inbound" => self.taken(Primitive::Inbound),
            "outbound" => self.taken(Primitive::Outbound),
            "pppoed" => self.taken(Primitive::PppoeDiscovery),
            "llc" => Primitive::Llc(self.llc_type()?),
            "vlan" => Primitive::Vlan(self.tag("a VLAN identifier", 0xfff)?),
            "mpls" => Primitive::Mpls(self.tag("an MPLS label", 0xf_ffff)?),
            "pppoes" => Primitive::PppoeSession(self.tag("a PPPoE session", 0xffff)?),
            "geneve" => Primitive::Geneve(self.tag("a Geneve network", 0xff_ffff)?),
            _ => match self.wireless()? {
                Some(primitive) => primitive,
                None => match self.log()? {
                    Some(primitive) => primitive,
                    None => return Ok(None),
                },
            },
        };
        Ok(Some((primitive.into(), None)))
    }

    /// Parses a name, or several in parentheses, under these qualifiers.
    pub(super) fn identifier(&mut self, qualifiers: Qualifiers) -> Result<Expression, ParseError> {
        if self.accept("not") {
            let depth = self.enter()?;
            let inner = self.identifier(qualifiers)?;
            self.depth = depth;
            return Ok(inner.negated());
        }
        if self.accept("(") {
            let (item, _) = self.expression(Some(qualifiers))?;
            let expression = match item {
                Item::Condition(_) | Item::Number(_) => self.condition(item, Some(qualifiers))?,
            };
            self.expect(")")?;
            return Ok(expression);
        }
        let Some(token) = self.peek() else { return Err(self.unexpected("a name or number")) };
        let at = |kind| lexer::error(self.text, token.start, kind);
        match token.kind {
            TokenKind::Number(number) => {
                let promoted = qualifiers.number(number).map_err(at)?;
                self.at += 1;
                match promoted {
                    Expression::Primitive(Primitive::Net { network, .. }) if self.next_is("/") => {
                        let (address, _) =
                            network.v4().ok_or_else(|| self.unexpected("an IPv4 network"))?;
                        self.prefix(qualifiers, token, Ipv4Addr::from_bits(address).into())
                    }
                    promoted => Ok(promoted),
                }
            }
            TokenKind::Dotted { bytes: [area, node, ..], count: 2 } if qualifiers.is_decnet() => {
                self.at += 1;
                qualifiers.decnet(area.into(), node.into()).map_err(at)
            }
            TokenKind::Pair(area, node) if qualifiers.is_decnet() => {
                self.at += 1;
                qualifiers.decnet(area, node).map_err(at)
            }
            TokenKind::Pair(..) => Err(at(ParseErrorKind::Address { text: token.text.to_owned() })),
            TokenKind::Dotted { bytes, count } => {
                self.at += 1;
                let address = Ipv4Addr::from(bytes);
                if self.next_is("/") {
                    self.prefix(qualifiers, token, address.into())
                } else if self.accept("mask") {
                    self.mask(qualifiers, token, address)
                } else if count == 4 {
                    qualifiers.address(address.into()).map_err(at)
                } else {
                    let mask = u32::MAX << (32 - 8 * u32::from(count));
                    let network = Network::with_mask(address, Ipv4Addr::from_bits(mask));
                    let network = network.ok_or_else(|| self.unexpected("a network"))?;
                    qualifiers.network(network).map_err(at)
                }
            }
            TokenKind::Ip6(address) => {
                self.at += 1;
                if self.next_is("/") {
                    self.prefix(qualifiers, token, address.into())
                } else {
                    qualifiers.address(address.into()).map_err(at)
                }
            }
            TokenKind::Mac(address) => {
                self.at += 1;
                qualifiers.mac(address).map_err(at)
            }
            TokenKind::Word(word) => {
                let escaped = matches!(qualifiers.kind, Kind::Proto | Kind::ProtoChain);
                if qualifiers::is_keyword(word) && !(escaped && Scope::from_word(word).is_some()) {
                    return Err(self.unexpected("a name or number"));
                }
                let expression = qualifiers.name(word).map_err(at)?;
                self.at += 1;
                Ok(expression)
            }
            TokenKind::Escaped(name) => {
                let expression = qualifiers.name(name).map_err(at)?;
                self.at += 1;
                Ok(expression)
            }
            TokenKind::Symbol(_) => Err(self.unexpected("a name or number")),
        }
    }

    /// Parses the rest of a condition that begins with a protocol keyword, which is already
    /// consumed.
    fn qualified(&mut self, scope: Scope) -> Result<(Expression, Inherited), ParseError> {
        for keyword in ["broadcast", "multicast"] {
            if self.accept(keyword) {
                return Ok((self.many(scope, keyword)?.into(), None));
            }
        }
        if scope == Scope::Link
            && let Some(primitive) = self.wireless()?
        {
            return Ok((primitive.into(), None));
        }
        let direction = self.end();
        let word = match self.peek() {
            Some(Token { kind: TokenKind::Word(word), .. }) => *word,
            _ => "",
        };
        let kind = match (Kind::from_word(word), direction) {
            (Some(Kind::Proto | Kind::ProtoChain), Some(_)) => {
                return Err(self.unexpected("`host`, `net`, `port`, `portrange` or an address"));
            }
            (Some(kind), _) => {
                self.at += 1;
                kind
            }
            (None, Some(_)) => Kind::Host,
            (None, None) => return self.alone(scope),
        };
        let end = direction.unwrap_or_default();
        let qualifiers = Qualifiers { scope, end, kind };
        let expression = self.identifier(qualifiers)?;
        Ok((expression, Some(qualifiers)))
    }

    fn alone(&self, scope: Scope) -> Result<(Expression, Inherited), ParseError> {
        match scope {
            Scope::Protocol(protocol) => Ok((Primitive::Protocol(protocol).into(), None)),
            Scope::Any | Scope::Link => {
                if let Some(Token { kind: TokenKind::Word(word), .. }) = self.peek()
                    && let Some(reason) = qualifiers::unsupported(word)
                {
                    let keyword = (*word).to_owned();
                    return Err(self.fail(ParseErrorKind::Unsupported { keyword, reason }));
                }
                Err(self.unexpected("`host`, `src`, `dst`, `proto`, `broadcast` or `multicast`"))
            }
        }
    }

    fn many(&self, scope: Scope, keyword: &'static str) -> Result<Primitive, ParseError> {
        match (scope, keyword) {
            (Scope::Any | Scope::Link, "broadcast") => Ok(Primitive::Broadcast),
            (Scope::Protocol(Protocol::Ip), "broadcast") => Ok(Primitive::IpBroadcast),
            (Scope::Any | Scope::Link, _) => Ok(Primitive::Multicast(MulticastLayer::Ether)),
            (Scope::Protocol(Protocol::Ip), _) => Ok(Primitive::Multicast(MulticastLayer::Ip)),
            (Scope::Protocol(Protocol::Ip6), "multicast") => {
                Ok(Primitive::Multicast(MulticastLayer::Ip6))
            }
            (Scope::Protocol(protocol), what) => {
                let start = self
                    .at
                    .checked_sub(2)
                    .and_then(|at| self.tokens.get(at))
                    .map_or(0, |token| token.start);
                let kind = ParseErrorKind::Qualifier { qualifier: protocol.keyword(), what };
                Err(lexer::error(self.text, start, kind))
            }
        }
    }

    /// Parses the end of a packet's path or the field of an 802.11 frame.
    fn end(&mut self) -> Option<End> {
        if let Some(Token { kind: TokenKind::Word(word), .. }) = self.peek()
            && let Some(field) = WirelessAddress::from_word(word)
        {
            self.at += 1;
            return Some(End::Field(field));
        }
        self.direction().map(End::Path)
    }

    fn direction(&mut self) -> Option<Direction> {
        let (first, second) = if self.next_is("src") {
            (Direction::Source, "dst")
        } else {
            (Direction::Destination, "src")
        };
        if !self.next_is("src") && !self.next_is("dst") {
            return None;
        }
        self.at += 1;
        let joined = self.peek_second().is_some_and(|token| token.is(second));
        for (word, direction) in [("or", Direction::Either), ("and", Direction::Both)] {
            if joined && self.next_is(word) {
                self.at += 2;
                return Some(direction);
            }
        }
        Some(first)
    }

    /// Parses `/ length` after an address.
    fn prefix(
        &mut self,
        qualifiers: Qualifiers,
        token: &Token<'_>,
        address: IpAddr,
    ) -> Result<Expression, ParseError> {
        self.at += 1;
        let (length, length_token) = self.number("a prefix length")?;
        let maximum = if address.is_ipv4() { 32 } else { 128 };
        let at = |kind| lexer::error(self.text, token.start, kind);
        let Some(length) = u8::try_from(length).ok().filter(|length| *length <= maximum) else {
            let kind = ParseErrorKind::TooLarge {
                number: length.to_string(),
                what: "a prefix length",
                maximum: maximum.into(),
            };
            return Err(lexer::error(self.text, length_token, kind));
        };
        if qualifiers.kind == Kind::Host && length == 128 {
            return qualifiers.address(address).map_err(at);
        }
        let network = Network::new(address, length);
        let network = network.ok_or_else(|| {
            at(ParseErrorKind::HostBits { network: format!("{}/{length}", token.text) })
        })?;
        self.masked(qualifiers, network).map_err(at)
    }

    /// Parses the address after `mask`.
    fn mask(
        &mut self,
        qualifiers: Qualifiers,
        token: &Token<'_>,
        address: Ipv4Addr,
    ) -> Result<Expression, ParseError> {
        let Some(Token { kind: TokenKind::Dotted { bytes, .. }, text: mask, .. }) = self.peek()
        else {
            return Err(self.unexpected("a mask such as 255.255.255.0"));
        };
        self.at += 1;
        let at = |kind| lexer::error(self.text, token.start, kind);
        let network = Network::with_mask(address, Ipv4Addr::from(*bytes));
        let network = network.ok_or_else(|| {
            at(ParseErrorKind::HostBits { network: format!("{} mask {mask}", token.text) })
        })?;
        self.masked(qualifiers, network).map_err(at)
    }

    fn masked(
        &self,
        qualifiers: Qualifiers,
        network: Network,
    ) -> Result<Expression, ParseErrorKind> {
        match qualifiers.kind {
            Kind::Host => Err(ParseErrorKind::MaskOnHost),
            _ => qualifiers.network(network),
        }
    }

    /// Parses a required number. Returns the number and its position.
    pub(super) fn number(&mut self, expected: &'static str) -> Result<(u32, usize), ParseError> {
        match self.peek() {
            Some(Token { kind: TokenKind::Number(number), start, .. }) => {
                self.at += 1;
                Ok((*number, *start))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Parses the optional number after the next keyword, with or without parentheses.
    fn tag<T: TryFrom<u32>>(
        &mut self,
        what: &'static str,
        maximum: u32,
    ) -> Result<Option<T>, ParseError> {
        self.at += 1;
        let open = self.tokens.iter().skip(self.at).take_while(|token| token.is("(")).count();
        if !matches!(
            self.tokens.get(self.at + open),
            Some(Token { kind: TokenKind::Number(_), .. })
        ) {
            return Ok(None);
        }
        let closed = (0..open).all(|index| {
            self.tokens.get(self.at + open + 1 + index).is_some_and(|token| token.is(")"))
        });
        if !closed {
            return Ok(None);
        }
        self.at += open;
        let (number, start) = self.number(what)?;
        self.at += open;
        match T::try_from(number) {
            Ok(value) if number <= maximum => Ok(Some(value)),
            _ => {
                let kind = ParseErrorKind::TooLarge { number: number.to_string(), what, maximum };
                Err(lexer::error(self.text, start, kind))
            }
        }
    }

    /// Parses the optional type after `llc`.
    fn llc_type(&mut self) -> Result<Option<LlcType>, ParseError> {
        self.at += 1;
        let (TokenKind::Word(word) | TokenKind::Escaped(word)) = (match self.peek() {
            Some(token) => token.kind,
            None => return Ok(None),
        }) else {
            return Ok(None);
        };
        if let Some(kind) = LlcType::from_word(word) {
            self.at += 1;
            return Ok(Some(kind));
        }
        if qualifiers::is_keyword(word) {
            return Ok(None);
        }
        let expected = "the type of an 802.2 frame, such as `ui`";
        Err(self.fail(ParseErrorKind::UnknownWord { word: word.to_owned(), expected }))
    }

    fn taken(&mut self, primitive: Primitive) -> Primitive {
        self.at += 1;
        primitive
    }

    fn next_is(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.is(text))
    }
}

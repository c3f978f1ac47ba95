//! The 64 bits that come back with each completion: operation 8, generation 24, slot 32.
//!
//! The generation tells a completion for today's owner of a slot from one for a former owner:
//! cancellation is racy by nature, and only an operation's last completion proves that it ended.

/// What a completion answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Nobody waits: cancels, closes, installs. Only failures complete at all.
    Silent = 0,
    Recv = 1,
    Send = 2,
    Connect = 3,
    Accept = 4,
    Bell = 5,
    Shutdown = 6,
}

/// Identifies one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u64);

/// Generations count modulo this.
pub(super) const GENERATIONS: u32 = 1 << 24;

impl Token {
    pub(super) fn new(kind: Kind, generation: u32, slot: u32) -> Token {
        let generation = u64::from(generation % GENERATIONS);
        Token(u64::from(kind as u8) << 56 | generation << 32 | u64::from(slot))
    }

    pub(super) const SILENT: Token = Token(0);

    pub(super) fn from_bits(bits: u64) -> Token {
        Token(bits)
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn kind(self) -> Kind {
        match self.0 >> 56 {
            1 => Kind::Recv,
            2 => Kind::Send,
            3 => Kind::Connect,
            4 => Kind::Accept,
            5 => Kind::Bell,
            6 => Kind::Shutdown,
            _ => Kind::Silent,
        }
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32 % GENERATIONS
    }

    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for kind in
            [Kind::Recv, Kind::Send, Kind::Connect, Kind::Accept, Kind::Bell, Kind::Shutdown]
        {
            let token = Token::from_bits(Token::new(kind, GENERATIONS + 7, u32::MAX).bits());
            assert_eq!((token.kind(), token.generation(), token.slot()), (kind, 7, u32::MAX));
        }
    }
}

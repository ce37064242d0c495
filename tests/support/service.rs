//! What a test's server answers, byte for byte: so that a peer can check every byte it gets without keeping any.

use cooee::reactor::handler::Context;

/// The length of a message of [`Service::Twice`].
pub const MESSAGE: usize = 3;

/// What a server makes of a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Every byte comes back as it is.
    Echo,
    /// Every message of three bytes comes back twice: an incomplete one must be kept, and answers outgrow questions.
    /// What is left of an incomplete one when the peer ends its side comes back as it is.
    Twice,
}

impl Service {
    /// Takes what it can of the offered bytes and answers it: returns how many it took.
    pub fn receive(self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        match self {
            Service::Echo => {
                cx.reply.echo(0..bytes.len());
                bytes.len()
            }
            Service::Twice => {
                let mut taken = 0;
                while bytes.len() - taken >= MESSAGE && !cx.reply.wait_if_full() {
                    cx.reply.echo(taken..taken + MESSAGE);
                    cx.reply.echo(taken..taken + MESSAGE);
                    taken += MESSAGE;
                }
                taken
            }
        }
    }

    /// How long the whole answer to `count` bytes is, once the peer has ended its side.
    pub fn answer_length(self, count: usize) -> usize {
        match self {
            Service::Echo => count,
            Service::Twice => count / MESSAGE * MESSAGE * 2 + count % MESSAGE,
        }
    }

    /// Which of the `count` bytes that were asked stands at `position` of the answer.
    pub fn source_of(self, position: usize, count: usize) -> usize {
        let whole = count / MESSAGE * MESSAGE;
        match self {
            Service::Echo => position,
            Service::Twice if position < 2 * whole => position / (2 * MESSAGE) * MESSAGE + position % MESSAGE,
            Service::Twice => position - whole,
        }
    }
}

/// The byte at `position` of the stream called `name`. Neighbours differ, and so do streams: a byte that was lost,
/// doubled, or sent to the wrong peer shows at once.
pub fn byte_at(name: usize, position: usize) -> u8 {
    (position.wrapping_mul(7) ^ (position >> 8) ^ name.wrapping_mul(101)) as u8
}

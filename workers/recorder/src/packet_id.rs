//! Which packet of a ring.

pub(crate) use recordings::PacketId;
